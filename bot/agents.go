package bot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// An application service may have users of its own. Where a room is not encrypted an agent tells of its work as such a user; it has no
// device, so in an encrypted room the bot speaks, and names the agent.

// agents are the agents' users as far as they were made and have joined since the bot started.
type agents struct {
	mutex  sync.Mutex
	made   map[id.UserID]bool
	joined map[id.UserID]map[id.RoomID]bool
}

func newAgents() *agents {
	return &agents{made: map[id.UserID]bool{}, joined: map[id.UserID]map[id.RoomID]bool{}}
}

func (a *agents) left(user id.UserID, room id.RoomID) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	delete(a.joined[user], room)
}

// ours says whether a user is the bot or one of its agents, to whom it never listens.
func (b *Bot) ours(user id.UserID) bool {
	return user == b.client.UserID || b.options.Registration != nil && b.options.Registration.reserves(user)
}

// agentUser is an agent's own user; empty if it has none.
func (b *Bot) agentUser(agent string) id.UserID {
	if b.options.Registration == nil || agent == "" {
		return ""
	}
	prefix := b.options.Registration.prefix()
	if prefix == "" {
		return ""
	}
	return id.NewUserID(prefix+id.EncodeUserLocalpart(agent), b.client.UserID.Homeserver())
}

// speakerOf is the user who sends a message: the agent whose words they are, where it may, or whoever sent what is edited or taken back.
// Empty is the bot.
func (s *sender) speakerOf(ctx context.Context, message *outgoing, clear bool) (id.UserID, error) {
	if message.replaces() {
		return message.AboutSpeaker, nil
	}
	user := s.bot.agentUser(message.Agent)
	if user == "" || !clear {
		return "", nil
	}
	err := s.bot.bringIn(ctx, user, message.Agent, message.Room)
	if barred(err) {
		zerolog.Ctx(ctx).Warn().Err(err).Stringer("user_id", user).Msg("An agent may not be in a room; the bot speaks for it")
		return "", nil
	}
	return user, err
}

// bringIn makes an agent's user and has it join a room.
func (b *Bot) bringIn(ctx context.Context, user id.UserID, name string, room id.RoomID) error {
	b.agents.mutex.Lock()
	defer b.agents.mutex.Unlock()
	if b.agents.joined[user][room] {
		return nil
	}
	client, err := b.clientOf(user)
	if err != nil {
		return err
	}
	if !b.agents.made[user] {
		if err := makeUser(ctx, client); err != nil {
			return err
		}
		if err := client.SetDisplayName(ctx, name); err != nil {
			return fmt.Errorf("naming the user of %s: %w", name, err)
		}
		b.agents.made[user] = true
	}
	_, err = client.JoinRoomByID(ctx, room)
	if barred(err) {
		if _, err := b.client.InviteUser(ctx, room, &mautrix.ReqInviteUser{UserID: user}); err != nil {
			return fmt.Errorf("inviting %s: %w", user, err)
		}
		_, err = client.JoinRoomByID(ctx, room)
	}
	if err != nil {
		return fmt.Errorf("having %s join: %w", user, err)
	}
	if b.agents.joined[user] == nil {
		b.agents.joined[user] = map[id.RoomID]bool{}
	}
	b.agents.joined[user][room] = true
	return nil
}

// barred says that a homeserver does not let a user into a room. Of one that is banned Synapse says so with a code of its own.
func barred(err error) bool {
	var failure mautrix.HTTPError
	return errors.Is(err, mautrix.MForbidden) || errors.As(err, &failure) && failure.RespError != nil && failure.RespError.ErrCode == "M_BAD_STATE"
}

// clientOf acts as a user of the application service.
func (b *Bot) clientOf(user id.UserID) (*mautrix.Client, error) {
	if user == "" || user == b.client.UserID {
		return b.client, nil
	}
	client, err := b.clientWith(b.options.Registration.Token)
	if err != nil {
		return nil, err
	}
	client.UserID = user
	return client, nil
}

// named puts the agent's name before words that the bot says for it.
func named(message *outgoing) map[string]any {
	if message.Agent == "" {
		return message.Content
	}
	content := withName(message.Content, message.Agent)
	if fresh, edits := content["m.new_content"].(map[string]any); edits {
		fresh = withName(fresh, message.Agent)
		content["m.new_content"], content["body"] = fresh, "* "+fmt.Sprint(fresh["body"])
	}
	return content
}

func withName(content map[string]any, name string) map[string]any {
	out := make(map[string]any, len(content))
	for key, value := range content {
		out[key] = value
	}
	if kind, _ := out["msgtype"].(string); kind != "m.text" && kind != "m.notice" {
		return out
	}
	if body, ok := out["body"].(string); ok {
		out["body"] = name + ": " + body
	}
	if html, ok := out["formatted_body"].(string); ok {
		strong := "<strong>" + strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(name) + "</strong>: "
		if rest, begins := strings.CutPrefix(html, "<p>"); begins {
			out["formatted_body"] = "<p>" + strong + rest
		} else {
			out["formatted_body"] = strong + html
		}
	}
	return out
}
