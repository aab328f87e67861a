package client

import (
	"context"
	"errors"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// timelineLimit is how many events of a room one sync may bring before some are left out.
const timelineLimit = 1000

// patientSyncer comes back soon after the homeserver was away, and never gives up.
type patientSyncer struct {
	*mautrix.DefaultSyncer
	stores *sync.Mutex
}

func (s patientSyncer) ProcessResponse(ctx context.Context, response *mautrix.RespSync, since string) error {
	s.stores.Lock()
	defer s.stores.Unlock()
	return s.DefaultSyncer.ProcessResponse(ctx, response, since)
}

func (patientSyncer) OnFailedSync(_ *mautrix.RespSync, err error) (time.Duration, error) {
	if errors.Is(err, mautrix.MUnknownToken) {
		return 0, err
	}
	return 250 * time.Millisecond, nil
}

func (c *Client) startSync() {
	syncer := patientSyncer{DefaultSyncer: mautrix.NewDefaultSyncer(), stores: &c.stores}
	syncer.FilterJSON = &mautrix.Filter{Room: &mautrix.RoomFilter{Timeline: &mautrix.FilterPart{Limit: timelineLimit}}}
	syncer.ParseErrorHandler = func(*event.Event, error) bool { return true }
	syncer.OnSync(c.Olm.ProcessSyncResponse)
	syncer.OnEvent(c.Matrix.StateStoreSyncHandler)
	syncer.OnEventType(event.StateMember, c.Olm.HandleMemberEvent)
	syncer.OnEventType(event.StateHistoryVisibility, c.Olm.HandleHistoryVisibility)
	syncer.OnEventType(event.StateMember, c.noticeInvite)
	syncer.OnEvent(c.see)
	c.Matrix.Syncer = syncer

	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.running.Go(func() {
		for ctx.Err() == nil {
			err := c.Matrix.SyncWithContext(ctx)
			if ctx.Err() != nil || errors.Is(err, mautrix.MUnknownToken) {
				return
			}
			c.Matrix.Log.Warn().Err(err).Msg("Sync ended, starting again")
			select {
			case <-ctx.Done():
			case <-time.After(250 * time.Millisecond):
			}
		}
	})
}

// see puts a timeline event into the transcript, decrypted if the keys are here.
func (c *Client) see(ctx context.Context, evt *event.Event) {
	if evt.Mautrix.EventSource&event.SourceTimeline == 0 {
		return
	}
	if evt.Type != event.EventEncrypted {
		c.Put(SeenOf(evt))
		return
	}
	decrypted, err := c.Olm.DecryptMegolmEvent(ctx, evt)
	if err == nil {
		c.Put(SeenOf(decrypted))
		return
	}
	entry := SeenOf(evt)
	entry.Undecrypted, entry.WhyUndecrypted = true, err.Error()
	c.Put(entry)
	if errors.Is(err, crypto.ErrNoSessionFound) {
		c.undecrypted.put(evt)
		// The keys may have come between the attempt and the put.
		if content := evt.Content.AsEncrypted(); c.hasSession(ctx, evt.RoomID, content.SessionID) {
			c.retry(content.SessionID)
		}
	}
}

func (c *Client) hasSession(ctx context.Context, room id.RoomID, session id.SessionID) bool {
	found, err := c.Olm.CryptoStore.GetGroupSession(ctx, room, session)
	return err == nil && found != nil
}

// undecrypted are events whose keys have not come yet, by Megolm session.
type undecrypted struct {
	lock   sync.Mutex
	events map[id.SessionID][]*event.Event
}

func (u *undecrypted) put(evt *event.Event) {
	u.lock.Lock()
	defer u.lock.Unlock()
	if u.events == nil {
		u.events = map[id.SessionID][]*event.Event{}
	}
	session := evt.Content.AsEncrypted().SessionID
	u.events[session] = append(u.events[session], evt)
}

func (u *undecrypted) take(session id.SessionID) []*event.Event {
	u.lock.Lock()
	defer u.lock.Unlock()
	events := u.events[session]
	delete(u.events, session)
	return events
}

// sessionReceived runs inside the crypto machine's locks, so the retry must not.
func (c *Client) sessionReceived(_ context.Context, _ id.RoomID, session id.SessionID, _ uint32) {
	go func() {
		c.stores.Lock()
		defer c.stores.Unlock()
		c.retry(session)
	}()
}

// retry reads what came before its key did. The caller holds stores.
func (c *Client) retry(session id.SessionID) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, evt := range c.undecrypted.take(session) {
		decrypted, err := c.Olm.DecryptMegolmEvent(ctx, evt)
		if err != nil {
			c.undecrypted.put(evt)
			continue
		}
		c.Put(SeenOf(decrypted))
	}
}
