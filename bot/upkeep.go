package bot

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix/event"
)

// upkeep does what a sync leaves to do over the network, until it succeeds: one-time keys, changed devices, and answers to
// other devices' requests for keys.
type upkeep struct {
	keys *keys

	mutex    sync.Mutex
	oneTime  int
	counted  bool
	requests []*event.Event
	due      chan struct{}
}

func newUpkeep(keys *keys) *upkeep {
	return &upkeep{keys: keys, due: make(chan struct{}, 1)}
}

func (u *upkeep) add(done commitment) {
	u.mutex.Lock()
	if done.counted {
		u.oneTime, u.counted = done.oneTime, true
	}
	u.requests = append(u.requests, done.requests...)
	u.mutex.Unlock()
	select {
	case u.due <- struct{}{}:
	default:
	}
}

func (u *upkeep) run(ctx context.Context) {
	for wait := time.Second; ctx.Err() == nil; {
		select {
		case <-u.due:
		case <-ctx.Done():
			return
		}
		for ctx.Err() == nil {
			err := u.once(ctx)
			if err == nil {
				wait = time.Second
				break
			}
			zerolog.Ctx(ctx).Warn().Err(err).Dur("wait", wait).Msg("Key upkeep failed, trying again")
			pause(ctx, wait)
			wait = min(2*wait, time.Minute)
		}
	}
}

func (u *upkeep) once(ctx context.Context) error {
	u.mutex.Lock()
	oneTime, counted, requests := u.oneTime, u.counted, u.requests
	u.requests = nil
	u.mutex.Unlock()
	for _, request := range requests {
		u.answer(ctx, request)
	}
	if counted {
		if err := u.keys.publish(ctx, oneTime); err != nil {
			return err
		}
		u.mutex.Lock()
		u.counted = u.counted && u.oneTime != oneTime
		u.mutex.Unlock()
	}
	return u.keys.refreshDevices(ctx)
}

func (u *upkeep) answer(ctx context.Context, request *event.Event) {
	u.keys.RLock()
	defer u.keys.RUnlock()
	switch content := request.Content.Parsed.(type) {
	case *event.RoomKeyRequestEventContent:
		u.keys.machine.HandleRoomKeyRequest(ctx, request.Sender, content)
	case *event.SecretRequestEventContent:
		u.keys.machine.HandleSecretRequest(ctx, request.Sender, content)
	}
}
