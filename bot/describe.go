package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/event/cmdschema"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/commands"
)

const (
	// describeEvery is how often the bot looks whether a bound room lacks descriptions of its commands.
	describeEvery = 10 * time.Second
	// describeAgain is when a room is looked at again, in which the bot had no power or all was described.
	describeAgain = 6 * time.Hour
	// describePace keeps some thirty descriptions from taking the turn of what someone waits for.
	describePace = 200 * time.Millisecond
)

// errDescribesLater says that the homeserver limits the bot: what it takes is left to what people wait for.
var errDescribesLater = errors.New("descriptions of commands wait until the homeserver sets no limits")

// describeCommands keeps a description of every command (MSC4391) in the bound rooms where the bot has the power, so that clients
// complete them. Only its own events are touched, and only where they differ.
func (b *Bot) describeCommands(ctx context.Context) {
	looked := map[id.RoomID]time.Time{}
	for ctx.Err() == nil {
		_, rooms, err := b.directory.read(ctx)
		for _, room := range rooms {
			at := id.RoomID(room.Room)
			if err != nil || len(room.Purposes) == 0 || b.now().Sub(looked[at]) < describeAgain {
				continue
			}
			if err := b.describeIn(ctx, at); err != nil {
				zerolog.Ctx(ctx).Debug().Err(err).Stringer("room_id", at).Msg("Commands are not described in a room yet")
				continue
			}
			looked[at] = b.now()
		}
		pause(ctx, describeEvery)
	}
}

func (b *Bot) describeIn(ctx context.Context, room id.RoomID) error {
	var state []*event.Event
	// Not client.State: that would write what it reads beside the sync.
	if _, err := b.client.MakeRequest(ctx, http.MethodGet, b.client.BuildClientURL("v3", "rooms", room, "state"), nil, &state); err != nil {
		return fmt.Errorf("reading the state of %s: %w", room, err)
	}
	standing, power := b.described(state)
	if !power {
		return nil
	}
	var wanted []string
	for _, d := range commands.Describe() {
		content := schemaOf(d)
		key := content.StateKey(b.client.UserID)
		wanted = append(wanted, key)
		if standing[key].Equals(content) {
			continue
		}
		if err := b.describe(ctx, room, key, content); err != nil {
			return err
		}
	}
	for key := range standing {
		if !slices.Contains(wanted, key) {
			if err := b.describe(ctx, room, key, struct{}{}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Bot) describe(ctx context.Context, room id.RoomID, key string, content any) error {
	if b.sender.pace.limited() {
		return errDescribesLater
	}
	_, err := b.client.SendStateEvent(ctx, room, event.StateMSC4391BotCommand, key, content)
	var refusal mautrix.HTTPError
	if errors.As(err, &refusal) && refusal.Response != nil && refusal.Response.StatusCode == http.StatusTooManyRequests {
		spacing, burst := b.sender.pace.refused(retryAfter(refusal))
		return errors.Join(errDescribesLater, b.keepLimits(ctx, spacing, burst))
	}
	if err != nil {
		return fmt.Errorf("describing a command in %s: %w", room, err)
	}
	b.sender.pace.taken()
	pause(ctx, describePace)
	return ctx.Err()
}

// described are the bot's own descriptions in a room's state, and whether it has the power to write them.
func (b *Bot) described(state []*event.Event) (standing map[string]*cmdschema.EventContent, power bool) {
	standing = map[string]*cmdschema.EventContent{}
	levels := &event.PowerLevelsEventContent{}
	for _, evt := range state {
		evt.Type.Class = event.StateEventType
		switch evt.Type.Type {
		case event.StateMSC4391BotCommand.Type:
			var content cmdschema.EventContent
			if evt.Sender == b.client.UserID && json.Unmarshal(evt.Content.VeryRaw, &content) == nil && content.Command != "" {
				standing[evt.GetStateKey()] = &content
			}
		case event.StatePowerLevels.Type:
			if create := levels.CreateEvent; json.Unmarshal(evt.Content.VeryRaw, levels) == nil {
				levels.CreateEvent = create
			}
		case event.StateCreate.Type:
			if evt.Content.ParseRaw(evt.Type) == nil {
				levels.CreateEvent = evt
			}
		}
	}
	return standing, levels.GetUserLevel(b.client.UserID) >= levels.GetEventLevel(event.StateMSC4391BotCommand)
}

// schemaOf is a description as MSC4391 writes it.
func schemaOf(d commands.Description) *cmdschema.EventContent {
	content := &cmdschema.EventContent{Command: d.Command, Aliases: d.Aliases, Description: event.MakeExtensibleText(d.About), TailParam: d.Tail}
	for _, p := range d.Parameters {
		schema := cmdschema.PrimitiveTypeString.Schema()
		switch {
		case p.Switch:
			schema = cmdschema.PrimitiveTypeBoolean.Schema()
		case len(p.Choices) > 0:
			values := make([]any, len(p.Choices))
			for i, choice := range p.Choices {
				values[i] = choice
			}
			schema = cmdschema.Enum(values...)
		}
		if p.Many && schema.SchemaType != cmdschema.SchemaTypeUnion {
			schema = cmdschema.Array(schema)
		}
		content.Parameters = append(content.Parameters, &cmdschema.Parameter{
			Key: p.Key, Schema: schema, Optional: p.Optional, Description: event.MakeExtensibleText(p.About),
		})
	}
	return content
}

// structured is a command that a client completed and meant for the bot, or nil.
func (b *Bot) structured(content *event.MessageEventContent) *commands.Structured {
	given := content.MSC4391BotCommand
	if given == nil || !content.Mentions.Has(b.client.UserID) || len(content.Mentions.UserIDs) != 1 {
		return nil
	}
	return &commands.Structured{Command: given.Command, Arguments: given.Arguments}
}
