package client

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Room is a room to be made. It is encrypted unless Plain is set.
type Room struct {
	Name   string
	Topic  string
	Alias  string // local part, without #; empty is none
	Invite []id.UserID
	// PowerLevels are users' levels other than 0; the maker has 100 anyway.
	PowerLevels map[id.UserID]int
	Version     id.RoomVersion // when empty the server's default, or 11 if PowerLevels are given
	Plain       bool
	Public      bool
	Direct      bool
	// State is further initial state, by event type, with an empty state key.
	State map[event.Type]any
}

// CreateRoom makes a room and returns its ID.
func (c *Client) CreateRoom(ctx context.Context, room Room) (id.RoomID, error) {
	request := &mautrix.ReqCreateRoom{
		Name: room.Name, Topic: room.Topic, RoomAliasName: room.Alias, Invite: room.Invite, RoomVersion: room.Version,
		Preset: "private_chat", IsDirect: room.Direct,
	}
	switch {
	case room.Public:
		request.Preset = "public_chat"
	case room.Direct:
		request.Preset = "trusted_private_chat"
	}
	if !room.Plain {
		request.InitialState = append(request.InitialState, stateEvent(event.StateEncryption, &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}))
	}
	for kind, content := range room.State {
		request.InitialState = append(request.InitialState, stateEvent(kind, content))
	}
	if len(room.PowerLevels) > 0 {
		// From version 12 on a maker's level may not be named, before it must be; so the version may not be left open.
		if request.RoomVersion == "" {
			request.RoomVersion = id.RoomV11
		}
		levels := maps.Clone(room.PowerLevels)
		delete(levels, c.UserID)
		if request.RoomVersion != id.RoomV12 {
			levels[c.UserID] = 100
		}
		request.PowerLevelOverride = &event.PowerLevelsEventContent{Users: levels}
	}
	c.stores.Lock()
	defer c.stores.Unlock()
	made, err := c.Matrix.CreateRoom(ctx, request)
	if err != nil {
		return "", fmt.Errorf("%s making room %q: %w", NameOf(c.UserID), room.Name, err)
	}
	return made.RoomID, nil
}

// DirectChat makes an encrypted room with one other user and marks it as a direct chat.
func (c *Client) DirectChat(ctx context.Context, user id.UserID) (id.RoomID, error) {
	room, err := c.CreateRoom(ctx, Room{Invite: []id.UserID{user}, Direct: true})
	if err != nil {
		return "", err
	}
	direct := map[id.UserID][]id.RoomID{}
	_ = c.Matrix.GetAccountData(ctx, event.AccountDataDirectChats.Type, &direct) // there is none at first
	direct[user] = append(direct[user], room)
	if err := c.Matrix.SetAccountData(ctx, event.AccountDataDirectChats.Type, direct); err != nil {
		return "", fmt.Errorf("marking the direct chat: %w", err)
	}
	return room, nil
}

// Join joins a room by ID or alias (#fleet:localhost).
func (c *Client) Join(ctx context.Context, room string) (id.RoomID, error) {
	c.stores.Lock()
	defer c.stores.Unlock()
	joined, err := c.Matrix.JoinRoom(ctx, room, &mautrix.ReqJoinRoom{})
	if err != nil {
		return "", fmt.Errorf("%s joining %s: %w", NameOf(c.UserID), room, err)
	}
	return joined.RoomID, nil
}

// Invite invites a user to a room.
func (c *Client) Invite(ctx context.Context, room id.RoomID, user id.UserID) error {
	c.stores.Lock()
	defer c.stores.Unlock()
	if _, err := c.Matrix.InviteUser(ctx, room, &mautrix.ReqInviteUser{UserID: user}); err != nil {
		return fmt.Errorf("%s inviting %s: %w", NameOf(c.UserID), user, err)
	}
	return nil
}

// Leave leaves a room.
func (c *Client) Leave(ctx context.Context, room id.RoomID) error {
	c.stores.Lock()
	defer c.stores.Unlock()
	if _, err := c.Matrix.LeaveRoom(ctx, room); err != nil {
		return fmt.Errorf("%s leaving %s: %w", NameOf(c.UserID), room, err)
	}
	return nil
}

// WaitUntilJoined returns once all these users are in the room.
func (c *Client) WaitUntilJoined(ctx context.Context, room id.RoomID, users ...id.UserID) error {
	for _, user := range users {
		if c.isIn(ctx, room, user) {
			continue
		}
		if _, err := c.WaitFor(ctx, In(room), func(s Seen) bool {
			return s.Type == event.StateMember.Type && s.StateKey != nil && *s.StateKey == user.String() && s.Content["membership"] == "join"
		}); err != nil {
			return fmt.Errorf("waiting for %s in %s: %w", user, room, err)
		}
	}
	return nil
}

func (c *Client) isIn(ctx context.Context, room id.RoomID, user id.UserID) bool {
	c.stores.Lock()
	defer c.stores.Unlock()
	return c.Matrix.StateStore.IsInRoom(ctx, room, user)
}

// Invitation is a room the person was asked into.
type Invitation struct {
	Room   id.RoomID
	From   id.UserID
	Direct bool
}

type invites struct {
	lock    sync.Mutex
	all     []Invitation
	changed chan struct{}
}

func (i *invites) init() { i.changed = make(chan struct{}) }

func (c *Client) noticeInvite(_ context.Context, evt *event.Event) {
	member := evt.Content.AsMember()
	if evt.GetStateKey() != c.UserID.String() || member.Membership != event.MembershipInvite || evt.Mautrix.EventSource&event.SourceInvite == 0 {
		return
	}
	invitation := Invitation{Room: evt.RoomID, From: evt.Sender, Direct: member.IsDirect}
	c.invites.lock.Lock()
	defer c.invites.lock.Unlock()
	if slices.Contains(c.invites.all, invitation) {
		return
	}
	c.invites.all = append(c.invites.all, invitation)
	close(c.invites.changed)
	c.invites.changed = make(chan struct{})
	if !c.options.IgnoreInvites {
		c.running.Go(func() {
			if _, err := c.Join(context.Background(), invitation.Room.String()); err != nil {
				c.Matrix.Log.Warn().Err(err).Msg("Could not accept an invitation")
			}
		})
	}
}

// WaitForInvitation returns the first invitation from this user, waiting for it as long as WaitFor does.
func (c *Client) WaitForInvitation(ctx context.Context, from id.UserID) (Invitation, error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	for {
		c.invites.lock.Lock()
		all, changed := slices.Clone(c.invites.all), c.invites.changed
		c.invites.lock.Unlock()
		for _, invitation := range all {
			if invitation.From == from {
				return invitation, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Invitation{}, fmt.Errorf("%s was not invited by %s (%w); invitations seen: %v", NameOf(c.UserID), from, ctx.Err(), all)
		}
	}
}
