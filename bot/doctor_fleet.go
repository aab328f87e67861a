package bot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// nobody is a Matrix ID no register knows: asking who it is shows whether the token may act for others.
const nobody = "@mosaic-doctor-asks:invalid"

func (e *examination) lookAtGateway(ctx context.Context) {
	if e.options.API == nil {
		e.amiss("gateway", "No token for the gateway is set.", "Set MOSAIC_GATEWAY_TOKEN; `mosaic-matrix token --identity mosaic-bot --kind service --scopes bot` issues one.")
		e.unknown("schema", "It needs the gateway.")
		return
	}
	asked := e.options.Now()
	health, err := e.options.API.Ready(ctx)
	if err != nil {
		e.amiss("gateway", fmt.Sprintf("The gateway at %s cannot be reached.", e.options.API.Base()), "Start it (`mosaic-matrix gateway`), or correct MOSAIC_GATEWAY_URL.")
		e.unknown("schema", "It needs the gateway.")
		return
	}
	if at, ok := e.gatewayDate(ctx); ok {
		e.times = append(e.times, clockReading{"the gateway", at, asked, e.options.Now()})
	}
	e.lookAtBotToken(ctx, health)
	switch said := health.Parts["schema"]; said {
	case "ok":
		e.well("schema", "The register's schema is the gateway's.")
	case "":
		e.unknown("schema", "This gateway does not say.")
	default:
		e.amiss("schema", said, "Start the gateway of the version the register was migrated by, or a later one.")
	}
}

func (e *examination) lookAtBotToken(ctx context.Context, health register.Health) {
	const part = "gateway"
	for _, name := range slices.Sorted(maps.Keys(health.Parts)) {
		if said := health.Parts[name]; said != "ok" && name != "schema" {
			e.amiss(part, fmt.Sprintf("The gateway is not well (%s): %s", name, said), "Look into the gateway's log; its /readyz says the same.")
			return
		}
	}
	who, err := e.options.API.WhoAmI(ctx, register.By{})
	if register.CodeOf(err) == register.ProblemCodeUnauthorized {
		e.amiss(part, "The gateway does not accept the bot's token.", "Issue a new one (`mosaic-matrix token --identity mosaic-bot --kind service --scopes bot`) and set MOSAIC_GATEWAY_TOKEN.")
		return
	}
	if err != nil {
		e.amiss(part, "The gateway did not say whose the token is: "+rootCause(err)+".", "Try again; if it stays, look into the gateway's log.")
		return
	}
	_, err = e.options.API.WhoAmI(ctx, register.By{Actor: nobody})
	if register.CodeOf(err) == register.ProblemCodeForbidden {
		e.amiss(part, fmt.Sprintf("The token of %s may not act for the people in the rooms.", who.Name), "Issue one with the scope bot: `mosaic-matrix token --identity "+who.Name+" --scopes bot`")
		return
	}
	e.well(part, "%s answers, version %s, and knows the bot as %s.", e.options.API.Base(), health.Version, who.Name)
}

// gatewayDate is what time it is at the gateway.
func (e *examination) gatewayDate(ctx context.Context) (time.Time, bool) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.options.API.Base()+"/healthz", nil)
	if err != nil {
		return time.Time{}, false
	}
	var dated dateKeeper
	response, err := dated.RoundTrip(request)
	if err != nil {
		return time.Time{}, false
	}
	response.Body.Close()
	return dated.date()
}

// lookAtRooms looks at every bound room as the homeserver has it.
func (e *examination) lookAtRooms(ctx context.Context) {
	const part = "rooms"
	if e.client == nil || e.client.AccessToken == "" || e.options.API == nil {
		e.unknown(part, "They need the token and the gateway.")
		return
	}
	bound, err := e.options.API.Rooms(ctx, register.By{})
	if err != nil {
		e.unknown(part, "The gateway did not say which rooms are bound.")
		return
	}
	joined, err := e.client.JoinedRooms(ctx)
	if err != nil {
		e.amiss(part, fmt.Sprintf("The homeserver did not say which rooms the bot is in: %s.", rootCause(err)), "Try again; if it stays, look into the homeserver's log.")
		return
	}
	before := len(e.findings)
	served := map[register.RoomPurpose]bool{}
	for _, room := range bound.Rooms {
		for _, purpose := range room.Purposes {
			served[purpose] = true
		}
		if len(room.Purposes) > 0 {
			e.lookAtRoom(ctx, room, slices.Contains(joined.JoinedRooms, id.RoomID(room.Room)))
		}
	}
	for _, wanted := range purposes {
		if !served[wanted.purpose] && !e.options.CreateRooms {
			e.amiss(part, fmt.Sprintf("No room is bound for %s, so nobody is told of it.", wanted.purpose),
				fmt.Sprintf("In a room the bot is in, say `%s room bind %s`, or start the bot with MOSAIC_BOT_CREATE_ROOMS=true.", e.prefix(), wanted.purpose))
		}
	}
	if len(e.findings) == before {
		e.well(part, "%s bound; the bot is in each, may speak there, and each is encrypted.", counted(len(bound.Rooms), "room"))
	}
}

func (e *examination) prefix() string {
	if e.options.Prefix == "" {
		return "!mosaic"
	}
	return e.options.Prefix
}

func (e *examination) lookAtRoom(ctx context.Context, bound register.RoomBinding, joined bool) {
	const part = "rooms"
	room, name := id.RoomID(bound.Room), bound.Room
	if bound.Alias != "" {
		name = bound.Alias
	}
	if !joined {
		e.amiss(part, fmt.Sprintf("The bot is not in %s.", name), fmt.Sprintf("Invite %s there, or unbind it: `%s room unbind %s`", e.options.UserID, e.prefix(), bound.Room))
		return
	}
	var encryption event.EncryptionEventContent
	if err := e.client.StateEvent(ctx, room, event.StateEncryption, "", &encryption); errors.Is(err, mautrix.MNotFound) || err == nil && encryption.Algorithm == "" {
		e.amiss(part, fmt.Sprintf("%s is not encrypted, so the bot says nothing there.", name), "Turn on encryption in the room's settings.")
		return
	} else if err != nil {
		e.amiss(part, fmt.Sprintf("The homeserver did not say whether %s is encrypted: %s.", name, rootCause(err)), "Try again; if it stays, look into the homeserver's log.")
		return
	}
	var levels event.PowerLevelsEventContent
	if err := e.client.StateEvent(ctx, room, event.StatePowerLevels, "", &levels); err != nil {
		return // a room without power levels lets everyone speak
	}
	var create event.Event
	if full, err := e.client.FullStateEvent(ctx, room, event.StateCreate, ""); err == nil {
		create = *full
		levels.CreateEvent = &create
	}
	has := levels.GetUserLevel(id.UserID(e.options.UserID))
	if needs := levels.GetEventLevel(event.EventEncrypted); has < needs {
		e.amiss(part, fmt.Sprintf("The bot may not speak in %s: it has power %d, and that takes %d.", name, has, needs), fmt.Sprintf("Give %s the power %d in the room's settings.", e.options.UserID, needs))
	}
}

// lookAtAside tells of what the bot gave up on.
func (e *examination) lookAtAside(ctx context.Context) {
	const part = "set aside"
	if e.database == nil || !e.hasTable(ctx, "journal") {
		e.unknown(part, "The database holds nothing yet.")
		return
	}
	var heard, unsaid int
	var reason, last string
	err := e.database.QueryRow(ctx, `SELECT (SELECT count(*) FROM journal WHERE state = 'aside'), (SELECT count(*) FROM outbox WHERE state = 'failed'),
		coalesce((SELECT 'E' || seq || ': ' || coalesce(reason, '') FROM journal WHERE state = 'aside' ORDER BY seq DESC LIMIT 1), ''),
		coalesce((SELECT coalesce(reason, '') FROM outbox WHERE state = 'failed' ORDER BY id DESC LIMIT 1), '')`).Scan(&heard, &unsaid, &reason, &last)
	if err != nil {
		e.amiss(part, "Journal and outbox cannot be read: "+rootCause(err)+".", "Let the role of MOSAIC_BOT_DATABASE own schema bot.")
		return
	}
	if heard > 0 {
		e.amiss(part, fmt.Sprintf("%s given up on, the last %s", counted(heard, "event"), firstLine(reason)),
			fmt.Sprintf("An admin says `%s replay` in a room for the list, and `%s replay %s` to have one tried again.", e.prefix(), e.prefix(), before(reason, ":")))
	}
	if unsaid > 0 {
		e.amiss(part, fmt.Sprintf("%s could not be sent, the last because: %s", counted(unsaid, "message"), firstLine(last)), "Mend the reason; what was lost reads in the rooms' next replies, and nothing is sent twice.")
	}
	if heard+unsaid == 0 {
		e.well(part, "Nothing.")
	}
}

func firstLine(text string) string { return before(text, "\n") }

func before(text, mark string) string {
	head, _, _ := strings.Cut(text, mark)
	return head
}

// clockReading is what time another clock showed between two readings of ours.
type clockReading struct {
	whose       string
	shown       time.Time
	asked, told time.Time
}

// apart is by how much the other clock is ahead at least; an HTTP date leaves out what is beyond the second.
func (c clockReading) apart() time.Duration {
	switch {
	case c.shown.Add(time.Second).Before(c.asked):
		return c.shown.Add(time.Second).Sub(c.asked)
	case c.shown.After(c.told):
		return c.shown.Sub(c.told)
	}
	return 0
}

// clocksApart is how far clocks may be apart before deadlines and windows read wrong.
const clocksApart = 5 * time.Second

func (e *examination) lookAtClocks(context.Context) {
	const part = "clocks"
	before, compared := len(e.findings), []string{}
	for _, reading := range e.times {
		compared = append(compared, reading.whose)
		apart := reading.apart()
		if apart.Abs() <= clocksApart {
			continue
		}
		which := "ahead of"
		if apart < 0 {
			which = "behind"
		}
		e.amiss(part, fmt.Sprintf("The clock of %s is %s %s this host's.", reading.whose, apart.Abs().Round(time.Second), which), "Let both follow NTP: timedatectl set-ntp true")
	}
	switch {
	case len(compared) == 0:
		e.unknown(part, "No other clock could be read.")
	case len(e.findings) == before:
		e.well(part, "Those of this host and of %s agree to %s.", strings.Join(compared, ", "), clocksApart)
	}
}

// dateKeeper is a transport that keeps the date an answer bears.
type dateKeeper struct {
	mutex sync.Mutex
	at    time.Time
}

func (d *dateKeeper) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := http.DefaultTransport.RoundTrip(request)
	if err == nil {
		if at, err := http.ParseTime(response.Header.Get("Date")); err == nil {
			d.mutex.Lock()
			d.at = at
			d.mutex.Unlock()
		}
	}
	return response, err
}

func (d *dateKeeper) date() (time.Time, bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.at, !d.at.IsZero()
}
