package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// inviteType is the journal's own type for an invite of the bot.
const inviteType = "invite"

// receiveInvite journals an invite, in the sync's transaction.
func (b *Bot) receiveInvite(ctx context.Context, room id.RoomID, invited *mautrix.SyncInvitedRoom, done *commitment) error {
	for _, evt := range invited.State.Events {
		if evt.Type.Type != event.StateMember.Type || evt.GetStateKey() != b.client.UserID.String() || !storable(string(evt.Sender)) {
			continue
		}
		direct, _ := evt.Content.Raw["is_direct"].(bool)
		raw, err := json.Marshal(invitation{Direct: direct})
		if err != nil {
			return fmt.Errorf("encoding an invite: %w", err)
		}
		_, err = b.database.Exec(ctx, `INSERT INTO journal (room_id, event_id, sender, type, raw, arrived_at)
			VALUES ($1, 'invite:' || gen_random_uuid(), $2, $3, $4, $5)`, room, evt.Sender, inviteType, string(raw), b.now().UTC())
		if err != nil {
			return fmt.Errorf("journalling an invite: %w", err)
		}
		done.hear = append(done.hear, room)
	}
	return nil
}

type invitation struct {
	Direct bool `json:"direct"`
}

// hearInvite joins a room if someone the register knows invited the bot; to anyone else it shows no sign of life.
func (b *Bot) hearInvite(ctx context.Context, h *heard) error {
	_, known, err := b.authorise(ctx, h.Sender)
	if err != nil {
		return err
	}
	if !known {
		wanted, err := b.wanted(ctx, h.Room)
		if err != nil {
			return err
		}
		if !wanted {
			return b.journal.end(ctx, h, stateDropped, "invited by a stranger")
		}
	}
	var asked invitation
	if err := json.Unmarshal(h.Raw, &asked); err != nil {
		return &unreadableError{err}
	}
	_, err = b.client.JoinRoomByID(ctx, h.Room)
	if errors.Is(err, mautrix.MForbidden) || errors.Is(err, mautrix.MNotFound) {
		return b.journal.end(ctx, h, stateDropped, "the invite no longer holds")
	}
	if err != nil {
		return fmt.Errorf("joining a room: %w", err)
	}
	if asked.Direct {
		if err := b.markDirect(ctx, h.Room); err != nil {
			return err
		}
	}
	return b.enter(ctx, h, h.Room)
}

// wanted says whether the bot belongs in a room whoever invites it: the register has it bound, or it replaces one the bot is in.
func (b *Bot) wanted(ctx context.Context, room id.RoomID) (bool, error) {
	if _, _, err := b.directory.read(ctx); err != nil {
		return false, err
	}
	moved, err := b.upgradeTo(ctx, room)
	return moved != nil || b.directory.bound(room), err
}

// direct says whether a room is a chat with the bot alone, where commands need no prefix.
func (b *Bot) direct(ctx context.Context, room id.RoomID) bool {
	if b.directory.bound(room) {
		return false
	}
	b.keys.RLock()
	members, err := b.keys.members(ctx, room)
	b.keys.RUnlock()
	members = slices.DeleteFunc(members, func(member id.UserID) bool { return member != b.client.UserID && b.ours(member) })
	if err != nil || len(members) > 2 {
		return false
	}
	if len(members) == 2 {
		return true
	}
	var direct bool
	err = b.database.QueryRow(ctx, `SELECT direct FROM room WHERE room_id = $1`, room).Scan(&direct)
	return err == nil && direct
}

// purposes are what rooms are bound for, and what each is called.
var purposes = []struct {
	purpose register.RoomPurpose
	topic   string
}{
	{register.RoomPurposeFleet, "Dispatches of the fleet"},
	{register.RoomPurposeBudget, "Budgets and the steps of their ladders"},
	{register.RoomPurposeBoard, "Proposals to the board, decided by reactions"},
}

// keepRooms sees to it that a room is bound for each purpose, if the bot may create rooms, and that everyone who should be
// in a bound room is invited. It does what is missing, so it can be done again at any time.
func (b *Bot) keepRooms(ctx context.Context) error {
	b.directory.outdate()
	identities, rooms, err := b.directory.read(ctx)
	if err != nil {
		return err
	}
	if b.options.CreateRooms {
		for _, wanted := range purposes {
			if len(boundFor(rooms, wanted.purpose)) > 0 {
				continue
			}
			if err := b.createRoom(ctx, wanted.purpose, wanted.topic, identities); err != nil {
				return err
			}
		}
		b.directory.outdate()
		if identities, rooms, err = b.directory.read(ctx); err != nil {
			return err
		}
	}
	for _, room := range rooms {
		if err := b.inviteMissing(ctx, room, identities); err != nil {
			return err
		}
	}
	return nil
}

func (b *Bot) createRoom(ctx context.Context, purpose register.RoomPurpose, topic string, identities []register.Identity) error {
	name := string(purpose)
	alias := id.NewRoomAlias(name, b.client.UserID.Homeserver())
	room, taken, err := b.ownRoomAt(ctx, alias)
	if err != nil {
		return err
	}
	binding := register.RoomBinding{Purposes: []register.RoomPurpose{purpose}}
	if room != "" || !taken {
		binding.Alias = alias.String()
	}
	if room == "" {
		request := &mautrix.ReqCreateRoom{
			Preset: "private_chat", Visibility: "private", Name: name, Topic: topic, Invite: b.belonging(purpose, identities),
			InitialState: []*event.Event{{
				Type:    event.StateEncryption,
				Content: event.Content{Parsed: &event.EncryptionEventContent{Algorithm: id.AlgorithmMegolmV1}},
			}},
		}
		if !taken {
			request.RoomAliasName = name
		}
		created, err := b.client.CreateRoom(ctx, request)
		if errors.Is(err, mautrix.MExclusive) { // an application service whose registration reserves no aliases
			request.RoomAliasName, binding.Alias = "", ""
			created, err = b.client.CreateRoom(ctx, request)
		}
		if err != nil {
			return fmt.Errorf("creating the room %s: %w", name, err)
		}
		room = created.RoomID
	}
	binding.Room = room.String()
	err = b.api.Send(ctx, register.By{Key: txnID("bind", room.String(), name)}, register.BindRoom(binding), nil)
	if err != nil {
		return fmt.Errorf("binding the room %s: %w", name, err)
	}
	zerolog.Ctx(ctx).Info().Stringer("room_id", room).Str("purpose", name).Msg("Room bound")
	return nil
}

// ownRoomAt finds the room an alias names, if the bot is in it: one it created before a crash. taken says the alias is someone's.
func (b *Bot) ownRoomAt(ctx context.Context, alias id.RoomAlias) (room id.RoomID, taken bool, err error) {
	named, err := b.client.ResolveAlias(ctx, alias)
	if errors.Is(err, mautrix.MNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("asking whether %s is free: %w", alias, err)
	}
	joined, err := b.client.JoinedRooms(ctx)
	if err != nil {
		return "", false, fmt.Errorf("asking which rooms the bot is in: %w", err)
	}
	if slices.Contains(joined.JoinedRooms, named.RoomID) {
		return named.RoomID, true, nil
	}
	return "", true, nil
}

// belonging lists who should be in a room of a purpose: admins alone in admin, operators and admins in each other, the board in
// board, viewers in fleet and budget.
func (b *Bot) belonging(purpose register.RoomPurpose, identities []register.Identity) []id.UserID {
	roles := []register.FleetRole{register.FleetRoleOperator, register.FleetRoleAdmin}
	switch purpose {
	case register.RoomPurposeAdmin:
		roles = []register.FleetRole{register.FleetRoleAdmin}
	case register.RoomPurposeBoard:
		roles = append(roles, register.FleetRoleBoard)
	default:
		roles = append(roles, register.FleetRoleViewer)
	}
	var out []id.UserID
	for _, role := range roles {
		for _, user := range withRole(identities, role) {
			if user != b.client.UserID && !slices.Contains(out, user) {
				out = append(out, user)
			}
		}
	}
	return out
}

func (b *Bot) inviteMissing(ctx context.Context, binding register.RoomBinding, identities []register.Identity) error {
	room := id.RoomID(binding.Room)
	here, err := b.keys.askMembers(ctx, room)
	if errors.Is(err, mautrix.MForbidden) || errors.Is(err, mautrix.MNotFound) {
		zerolog.Ctx(ctx).Warn().Stringer("room_id", room).Msg("The bot is not in a bound room; invite it")
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking who is in %s: %w", room, err)
	}
	membership := map[string]string{}
	for _, evt := range here.Chunk {
		membership[evt.GetStateKey()], _ = evt.Content.Raw["membership"].(string)
	}
	for _, purpose := range binding.Purposes {
		for _, user := range b.belonging(purpose, identities) {
			if membership[user.String()] != "" { // joined, invited, or gone by someone's will
				continue
			}
			membership[user.String()] = "invite"
			_, err := b.client.InviteUser(ctx, room, &mautrix.ReqInviteUser{UserID: user})
			if errors.Is(err, mautrix.MForbidden) || errors.Is(err, mautrix.MNotFound) {
				zerolog.Ctx(ctx).Warn().Err(err).Stringer("room_id", room).Stringer("user_id", user).Msg("Someone cannot be invited")
				continue
			}
			if err != nil {
				return fmt.Errorf("inviting %s: %w", user, err)
			}
		}
	}
	return nil
}

// roomKeeper keeps the rooms on start, whenever people or bindings change, and now and then.
func (b *Bot) roomKeeper(ctx context.Context, first chan<- struct{}) {
	wait := time.Second
	for ctx.Err() == nil {
		err := b.keepRooms(ctx)
		if err == nil {
			if first != nil {
				close(first)
				first = nil
			}
			wait = time.Second
			select {
			case <-b.roomsChanged:
			case <-time.After(5 * time.Minute):
			case <-ctx.Done():
			}
			continue
		}
		if ctx.Err() != nil {
			return
		}
		zerolog.Ctx(ctx).Warn().Err(err).Dur("wait", wait).Msg("Keeping the rooms failed, trying again")
		pause(ctx, wait)
		wait = min(2*wait, 30*time.Second)
	}
}
