// Package bot is Matrix: it hears commands and reactions in encrypted rooms and speaks replies and notices there. What a
// command means is decided in commands, what it does behind the gateway API; the bot loses none and repeats none.
package bot

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/format"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// How many rooms are heard and spoken in at the same time.
const (
	hearWidth  = 8
	speakWidth = 4
)

// retention is how long what is dealt with is kept, to know it again if it is repeated.
const retention = 30 * 24 * time.Hour

// Options are what a bot needs. Homeserver, UserID, DatabaseURL, PickleKey, RecoveryKeyFile, API and one of Password, AccessToken,
// RefreshToken and Registration are required.
type Options struct {
	Homeserver string // URL
	UserID     string // such as @mosaic:example.org
	DeviceName string // "mosaic-matrix" when empty
	// Password or AccessToken are for the first login; later the stored token is used.
	Password    string
	AccessToken string
	// RefreshToken is of a login whose access tokens end; the one stored is used later. With OAuthClientID it is used over OAuth 2.0,
	// else at the homeserver's own endpoint.
	RefreshToken  string
	OAuthClientID string
	// Registration makes the bot an application service, which the homeserver pushes to. It needs neither password nor token.
	Registration *Registration
	// RegistrationListen is the address the homeserver pushes to; the registration's URL when empty.
	RegistrationListen string
	// DatabaseURL is of the role that owns schema bot.
	DatabaseURL string
	// PickleKey is the secret that encrypts the device's keys at rest.
	PickleKey string
	// RecoveryKeyFile is where the cross-signing recovery key is written once, mode 0600.
	RecoveryKeyFile string
	// API acts for the bot's own identity, with the bot scope.
	API *register.API
	// Zone is how wall-clock times are read and shown; nil is UTC.
	Zone *time.Location
	// Prefix is what a command begins with; "!mosaic" when empty.
	Prefix string
	// StaleAfter is how long after it was asked for a command that changes something may still be begun; 10 min when 0.
	StaleAfter time.Duration
	// AlertAfter is how long the gateway may be away before the admins' rooms are told; 30 s when 0.
	AlertAfter time.Duration
	// CommandsPerMinute is how many commands one sender may give within a minute; 60 when 0.
	CommandsPerMinute int
	// Servers are the homeservers whose people may command the bot, beside its own.
	Servers []string
	// RoomPower is the power level in a room that a command that changes something takes there, beside the role; none when 0.
	RoomPower int
	// CreateRooms has the bot create and bind an encrypted room for each purpose that has none.
	CreateRooms bool
	// Listen is the address for /healthz, /readyz and /metrics; empty serves none.
	Listen string
	Log    zerolog.Logger
	// Now is the clock; nil is the system's.
	Now func() time.Time
}

func (o Options) complete() (Options, error) {
	for name, value := range map[string]string{
		"Homeserver": o.Homeserver, "UserID": o.UserID, "DatabaseURL": o.DatabaseURL, "PickleKey": o.PickleKey, "RecoveryKeyFile": o.RecoveryKeyFile,
		"Password, AccessToken, RefreshToken or Registration": o.Password + o.AccessToken + o.RefreshToken + o.registration(),
	} {
		if value == "" {
			return o, fmt.Errorf("the bot needs %s", name)
		}
	}
	if o.API == nil {
		return o, errors.New("the bot needs API")
	}
	if _, _, err := id.UserID(o.UserID).Parse(); err != nil {
		return o, fmt.Errorf("%q is not a Matrix ID; an example is @mosaic:example.org", o.UserID)
	}
	if o.DeviceName == "" {
		o.DeviceName = "mosaic-matrix"
	}
	if o.Prefix == "" {
		o.Prefix = "!mosaic"
	}
	if o.Zone == nil {
		o.Zone = time.UTC
	}
	if o.StaleAfter == 0 {
		o.StaleAfter = 10 * time.Minute
	}
	if o.AlertAfter == 0 {
		o.AlertAfter = alertAfter
	}
	if o.CommandsPerMinute == 0 {
		o.CommandsPerMinute = 60
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

func (o Options) registration() string {
	if o.Registration == nil {
		return ""
	}
	return o.Registration.ID
}

// Bot is one Matrix user's one device. Of several with one database, one is active.
type Bot struct {
	options     Options
	api         *register.API
	now         func() time.Time
	leader      *leadership
	database    *dbutil.Database
	client      *mautrix.Client
	account     *account
	renewal     *renewal
	agents      *agents
	keys        *keys
	journal     *journal
	outbox      *outbox
	directory   *directory
	board       *boardRules
	syncer      *syncer
	sender      *sender
	upkeep      *upkeep
	metrics     *metrics
	hearing     *lanes
	speaking    *lanes
	displayName string
	listener    net.Listener
	intake      *intake

	trouble trouble

	// found is set while the bot takes what a device waits for that it is about to retire.
	found *findings

	devicesAsked askedLately
	quotas       quotas
	roomsChanged chan struct{}
}

// New waits until no other bot is active on the bot's database, opens it, signs in, and makes the device show as verified. It
// waits for a homeserver that does not answer, until ctx ends. The returned bot hears and speaks once Run is called.
func New(ctx context.Context, options Options) (*Bot, error) {
	options, err := options.complete()
	if err != nil {
		return nil, err
	}
	ctx = options.Log.WithContext(ctx)
	var in *intake
	if options.Registration != nil {
		if in, err = openIntake(options); err != nil {
			return nil, err
		}
	}
	leader, err := stand(ctx, options)
	if err != nil {
		in.close()
		return nil, err
	}
	ctx, deposed := context.WithCancelCause(ctx)
	held := make(chan struct{})
	go func() {
		defer close(held)
		deposed(leader.hold(ctx))
	}()
	b, err := lead(ctx, options, leader)
	if cause := context.Cause(ctx); cause != nil && errors.Is(cause, errDeposed) {
		err = cause
	}
	deposed(nil) // Run holds on from here
	<-held
	if err != nil {
		if b != nil {
			b.database.Close()
		}
		in.close()
		leader.resign()
		return nil, err
	}
	b.intake = in
	return b, nil
}

// lead sets up the bot once it is the only one.
func lead(ctx context.Context, options Options, leader *leadership) (*Bot, error) {
	database, err := openDatabase(ctx, options.DatabaseURL, &leader.epoch, options.Log)
	if err != nil {
		return nil, err
	}
	if err := leader.raise(ctx, database); err != nil {
		database.Close()
		return nil, err
	}
	enterEpoch(database.RawDB)
	b := &Bot{
		options: options, api: options.API, now: options.Now, leader: leader, database: database,
		journal:   &journal{database: database, now: options.Now},
		outbox:    &outbox{database: database, now: options.Now},
		directory: &directory{api: options.API, now: options.Now},
		board:     &boardRules{api: options.API, now: options.Now},
		metrics:   newMetrics(), roomsChanged: make(chan struct{}, 1), agents: newAgents(),
	}
	b.directory.met = func(ctx context.Context, identities []register.Identity, rooms []register.RoomBinding) error {
		return errors.Join(b.noteKnown(ctx, identities), b.keepBindings(ctx, rooms))
	}
	if err := b.open(ctx); err != nil {
		database.Close()
		return nil, err
	}
	return b, nil
}

func (b *Bot) open(ctx context.Context) (err error) {
	if b.client, b.account, b.renewal, err = signIn(ctx, b.options, b.database, b.leader); err != nil {
		return err
	}
	if b.keys, err = newKeys(ctx, b.client, b.database, b.options.PickleKey, b.options.Log); err != nil {
		return err
	}
	b.syncer = newSyncer(b, b.account.SyncToken)
	if err := untilAnswered(ctx, b.compareWithWorld); err != nil {
		return err
	}
	err = untilAnswered(ctx, func(ctx context.Context) error {
		if err := b.keys.publish(ctx, 0); err != nil {
			return err
		}
		return b.keys.verifyOwnDevice(ctx, b.options.RecoveryKeyFile, b.options.Password)
	})
	if err != nil {
		return err
	}
	if profile, err := b.client.GetOwnDisplayName(ctx); err == nil {
		b.displayName = profile.DisplayName
	}
	if b.options.Listen != "" {
		if b.listener, err = net.Listen("tcp", b.options.Listen); err != nil {
			return fmt.Errorf("listening on %s for health: %w", b.options.Listen, err)
		}
	}
	b.sender = newSender(b)
	if err := b.resumeLimits(ctx); err != nil {
		return err
	}
	b.upkeep = newUpkeep(b.keys)
	b.metrics.registry.MustRegister(newGauges(b))
	return nil
}

// untilAnswered does something that needs the homeserver until it succeeds or the homeserver says no.
func untilAnswered(ctx context.Context, do func(context.Context) error) error {
	for wait := time.Second; ; wait = min(2*wait, 15*time.Second) {
		err := do(ctx)
		if err == nil || !unanswered(err) || ctx.Err() != nil {
			return err
		}
		zerolog.Ctx(ctx).Warn().Err(err).Dur("wait", wait).Msg("The homeserver does not answer, trying again")
		pause(ctx, wait)
	}
}

// Run hears and speaks until ctx ends, then returns nil. Neither the homeserver, the gateway nor the database being away
// ends it; that another bot may lead does, with an error.
func (b *Bot) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(b.options.Log.WithContext(ctx))
	defer cancel()
	defer b.leader.resign()
	defer b.database.Close()
	defer b.intake.close()
	b.hearing = newLanes(ctx, hearWidth, b.hear)
	b.speaking = newLanes(ctx, speakWidth, b.sender.speak)

	var parts sync.WaitGroup
	var served, deposed error
	parts.Go(func() {
		if deposed = b.leader.hold(ctx); deposed != nil {
			zerolog.Ctx(ctx).Error().Err(deposed).Msg("The bot no longer leads")
			cancel()
		}
	})
	parts.Go(func() { b.syncer.run(ctx) })
	parts.Go(func() { b.upkeep.run(ctx) })
	parts.Go(func() { b.sweep(ctx) })
	parts.Go(func() { b.boardKeeper(ctx) })
	parts.Go(func() { b.watchGateway(ctx) })
	parts.Go(func() { b.describeCommands(ctx) })
	kept := make(chan struct{})
	parts.Go(func() { b.roomKeeper(ctx, kept) })
	parts.Go(func() {
		select {
		case <-kept:
			b.follow(ctx)
		case <-ctx.Done():
		}
	})
	if b.listener != nil {
		parts.Go(func() {
			if served = b.serve(ctx, b.listener); served != nil {
				cancel()
			}
		})
	}
	zerolog.Ctx(ctx).Info().Stringer("user_id", b.client.UserID).Stringer("device_id", b.client.DeviceID).Msg("Bot is at work")
	parts.Wait()
	b.hearing.wait()
	b.speaking.wait()
	b.keys.machine.Destroy()
	return errors.Join(served, deposed)
}

// sweep takes up what lies in journal and outbox, now and every minute, and deletes what has served its time.
func (b *Bot) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		err := b.sweepOnce(ctx)
		wait := time.Minute
		if err != nil {
			wait = time.Second
			if ctx.Err() == nil {
				zerolog.Ctx(ctx).Warn().Err(err).Msg("Sweeping journal and outbox failed")
			}
		}
		pause(ctx, wait)
	}
}

func (b *Bot) sweepOnce(ctx context.Context) error {
	if err := b.journal.expire(ctx); err != nil {
		return fmt.Errorf("setting aside what no key came for: %w", err)
	}
	hear, err := b.journal.rooms(ctx)
	if err != nil {
		return fmt.Errorf("reading which rooms have something to hear: %w", err)
	}
	speak, err := b.outbox.rooms(ctx)
	if err != nil {
		return fmt.Errorf("reading which rooms have something to say: %w", err)
	}
	b.hearing.wake(hear...)
	b.speaking.wake(speak...)
	before := b.now().Add(-retention)
	if err := b.journal.forget(ctx, before); err != nil {
		return fmt.Errorf("forgetting old events: %w", err)
	}
	if err := b.outbox.forget(ctx, before); err != nil {
		return fmt.Errorf("forgetting old messages: %w", err)
	}
	if _, err := b.database.Exec(ctx, `DELETE FROM offer WHERE at < $1`, before.UTC()); err != nil {
		return fmt.Errorf("forgetting old offers: %w", err)
	}
	if _, err := b.database.Exec(ctx, `DELETE FROM homeserver_transaction WHERE taken_at < $1`, before.UTC()); err != nil {
		return fmt.Errorf("forgetting old transactions: %w", err)
	}
	return errors.Join(b.queueAlerts(ctx), b.reportResets(ctx))
}

// plain is text with nothing in it taken for markup.
func plain(text string) string {
	return strings.ReplaceAll(format.EscapeMarkdown(text), "#", "\\#")
}
