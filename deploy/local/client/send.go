package client

import (
	"context"
	"errors"
	"fmt"
	"html"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// Say posts text as a person types it and returns its event ID.
func (c *Client) Say(ctx context.Context, room id.RoomID, text string) (id.EventID, error) {
	return c.SayRaw(ctx, room, event.EventMessage, &event.MessageEventContent{MsgType: event.MsgText, Body: text})
}

// Mention posts text that begins with a mention of user, as Element writes it.
func (c *Client) Mention(ctx context.Context, room id.RoomID, user id.UserID, text string) (id.EventID, error) {
	name := NameOf(user)
	return c.SayRaw(ctx, room, event.EventMessage, &event.MessageEventContent{
		MsgType: event.MsgText, Body: name + ": " + text, Format: event.FormatHTML,
		FormattedBody: fmt.Sprintf(`<a href="https://matrix.to/#/%s">%s</a>: %s`, user, html.EscapeString(name), html.EscapeString(text)),
		Mentions:      &event.Mentions{UserIDs: []id.UserID{user}},
	})
}

// Reply posts text as a rich reply to an event, outside threads.
func (c *Client) Reply(ctx context.Context, room id.RoomID, to id.EventID, text string) (id.EventID, error) {
	return c.SayRaw(ctx, room, event.EventMessage, &event.MessageEventContent{
		MsgType: event.MsgText, Body: text, RelatesTo: (&event.RelatesTo{}).SetReplyTo(to),
	})
}

// ReplyInThread posts text into the thread that hangs on root.
func (c *Client) ReplyInThread(ctx context.Context, room id.RoomID, root id.EventID, text string) (id.EventID, error) {
	return c.SayRaw(ctx, room, event.EventMessage, &event.MessageEventContent{
		MsgType: event.MsgText, Body: text, RelatesTo: (&event.RelatesTo{}).SetThread(root, root),
	})
}

// Edit replaces the text of an own message.
func (c *Client) Edit(ctx context.Context, room id.RoomID, message id.EventID, text string) (id.EventID, error) {
	content := &event.MessageEventContent{MsgType: event.MsgText, Body: text}
	content.SetEdit(message)
	return c.SayRaw(ctx, room, event.EventMessage, content)
}

// React adds a reaction. Reactions are never encrypted, not even in encrypted rooms: that is how the protocol has them.
func (c *Client) React(ctx context.Context, room id.RoomID, to id.EventID, key string) (id.EventID, error) {
	content := &event.ReactionEventContent{RelatesTo: *(&event.RelatesTo{}).SetAnnotation(to, key)}
	return c.SayRaw(ctx, room, event.EventReaction, content)
}

// Redact removes an event, such as a reaction.
func (c *Client) Redact(ctx context.Context, room id.RoomID, target id.EventID, reason string) (id.EventID, error) {
	sent, err := c.Matrix.RedactEvent(ctx, room, target, mautrix.ReqRedact{Reason: reason})
	if err != nil {
		return "", fmt.Errorf("%s redacting %s: %w", NameOf(c.UserID), target, err)
	}
	return sent.EventID, nil
}

// SayRaw posts any content, encrypted if the room is. Content is a mautrix content struct or a map.
func (c *Client) SayRaw(ctx context.Context, room id.RoomID, kind event.Type, content any) (id.EventID, error) {
	// One at a time, so that a room reads in the order it was written.
	c.sending.Lock()
	defer c.sending.Unlock()
	kind, content, err := c.seal(ctx, room, kind, content)
	if err != nil {
		return "", err
	}
	sent, err := c.Matrix.SendMessageEvent(ctx, room, kind, content, mautrix.ReqSendEvent{DontEncrypt: true})
	if err != nil {
		return "", fmt.Errorf("%s posting to %s: %w", NameOf(c.UserID), room, err)
	}
	return sent.EventID, nil
}

// seal encrypts content if the room is encrypted; reactions never are.
func (c *Client) seal(ctx context.Context, room id.RoomID, kind event.Type, content any) (event.Type, any, error) {
	c.stores.Lock()
	defer c.stores.Unlock()
	if err := c.prime(ctx, room); err != nil {
		return kind, nil, err
	}
	encrypted, err := c.Matrix.StateStore.IsEncrypted(ctx, room)
	if err != nil {
		return kind, nil, fmt.Errorf("looking whether %s is encrypted: %w", room, err)
	}
	if !encrypted || kind == event.EventReaction {
		return kind, content, nil
	}
	sealed, err := c.encrypt(ctx, room, kind, content)
	if err != nil {
		return kind, nil, fmt.Errorf("%s encrypting for %s: %w", NameOf(c.UserID), room, err)
	}
	return event.EventEncrypted, sealed, nil
}

// prime learns a room's state before the first message: without it an encrypted room may look like a plain one.
func (c *Client) prime(ctx context.Context, room id.RoomID) error {
	if c.primed[room] {
		return nil
	}
	if _, err := c.Matrix.State(ctx, room); err != nil {
		return fmt.Errorf("reading the state of %s: %w", room, err)
	}
	c.primed[room] = true
	return nil
}

func (c *Client) encrypt(ctx context.Context, room id.RoomID, kind event.Type, content any) (*event.EncryptedEventContent, error) {
	encrypted, err := c.Olm.EncryptMegolmEvent(ctx, room, kind, content)
	if !errors.Is(err, crypto.ErrSessionExpired) && !errors.Is(err, crypto.ErrNoGroupSession) && !errors.Is(err, crypto.ErrSessionNotShared) {
		return encrypted, err
	}
	members, err := c.Matrix.StateStore.GetRoomJoinedOrInvitedMembers(ctx, room)
	if err != nil {
		return nil, fmt.Errorf("reading the members: %w", err)
	}
	if err := c.Olm.ShareGroupSession(ctx, room, members); err != nil {
		return nil, fmt.Errorf("sharing the keys: %w", err)
	}
	return c.Olm.EncryptMegolmEvent(ctx, room, kind, content)
}
