package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// How a part of the bot was found.
const (
	PartWell    = "ok"
	PartAmiss   = "fix"     // Fix says how it is mended
	PartUnknown = "unknown" // it could not be looked at, because of another part or because it is not there yet
)

// Finding is what an examination says of one part.
type Finding struct {
	Part  string `json:"part"`
	State string `json:"state"`
	Said  string `json:"said"`
	Fix   string `json:"fix,omitempty"`
}

// examinePatience bounds each question of an examination.
const examinePatience = 10 * time.Second

// examination looks at everything a bot needs, beside a running bot or without one. It writes nothing: neither to the database nor
// to the homeserver or the register.
type examination struct {
	options  Options
	database *dbutil.Database
	account  *account
	client   *mautrix.Client
	findings []Finding
	times    []clockReading
}

// Examine looks at every part a bot with these options needs, and says of each that it is well or how it is mended. Options may lack
// what is required; that is then what it finds.
func Examine(ctx context.Context, options Options) []Finding {
	if completed, err := options.complete(); err == nil {
		options = completed
	} else if options.Now == nil {
		options.Now = time.Now
	}
	e := &examination{options: options}
	for _, look := range []func(context.Context){
		e.lookAtDatabase, e.lookAtHomeserver, e.lookAtToken, e.lookAtPushing, e.lookAtDevice, e.lookAtCrossSigning, e.lookAtGateway, e.lookAtRooms, e.lookAtClocks, e.lookAtLimits, e.lookAtAside,
	} {
		bounded, cancel := context.WithTimeout(ctx, examinePatience)
		look(bounded)
		cancel()
	}
	if e.database != nil {
		e.database.Close()
	}
	return e.findings
}

func (e *examination) well(part, said string, values ...any) {
	e.findings = append(e.findings, Finding{Part: part, State: PartWell, Said: fmt.Sprintf(said, values...)})
}

func (e *examination) amiss(part, said, fix string) {
	e.findings = append(e.findings, Finding{Part: part, State: PartAmiss, Said: said, Fix: fix})
}

func (e *examination) unknown(part, why string) {
	e.findings = append(e.findings, Finding{Part: part, State: PartUnknown, Said: why})
}

// lookAtDatabase opens the bot's schema to read only, without migrating it.
func (e *examination) lookAtDatabase(ctx context.Context) {
	const part = "database"
	if e.options.DatabaseURL == "" {
		e.amiss(part, "No database is named.", "Set MOSAIC_BOT_DATABASE, such as postgres://mosaic_bot:secret@127.0.0.1:5432/mosaic")
		return
	}
	config, err := pgx.ParseConfig(e.options.DatabaseURL)
	if err != nil {
		e.amiss(part, "The database URL cannot be read.", "Write MOSAIC_BOT_DATABASE like postgres://mosaic_bot:secret@127.0.0.1:5432/mosaic")
		return
	}
	where := fmt.Sprintf("%s at %s:%d", config.Database, config.Host, config.Port)
	config.RuntimeParams["search_path"] = schema
	config.RuntimeParams["default_transaction_read_only"] = "on"
	config.RuntimeParams["application_name"] = "mosaic-matrix doctor"
	config.ConnectTimeout = examinePatience / 2
	opened, err := dbutil.NewWithDB(stdlib.OpenDB(*config), "pgx")
	if err != nil {
		e.amiss(part, fmt.Sprintf("Database %s cannot be opened: %v.", where, err), "Correct MOSAIC_BOT_DATABASE.")
		return
	}
	var now time.Time
	asked := e.options.Now()
	if err := opened.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&now); err != nil {
		opened.Close()
		e.amiss(part, fmt.Sprintf("Database %s does not answer: %s.", where, rootCause(err)), "Start Postgres, or correct MOSAIC_BOT_DATABASE; the role must be able to log in.")
		return
	}
	e.times = append(e.times, clockReading{"Postgres", now, asked, e.options.Now()})
	e.database = opened
	e.lookAtSchema(ctx, where)
}

func (e *examination) lookAtSchema(ctx context.Context, where string) {
	const part = "database"
	var there bool
	if err := e.database.QueryRow(ctx, `SELECT to_regclass('bot.bot_version') IS NOT NULL`).Scan(&there); err != nil {
		e.amiss(part, fmt.Sprintf("Schema bot in %s cannot be read: %s.", where, rootCause(err)), "Let the role of MOSAIC_BOT_DATABASE own schema bot.")
		return
	}
	if !there {
		e.unknown(part, where+" answers; schema bot is made when the bot first starts.")
		return
	}
	var version int
	if err := e.database.QueryRow(ctx, `SELECT version FROM bot.bot_version`).Scan(&version); err != nil {
		e.amiss(part, fmt.Sprintf("Schema bot in %s cannot be read: %s.", where, rootCause(err)), "Let the role of MOSAIC_BOT_DATABASE own schema bot.")
		return
	}
	switch known := len(upgrades); {
	case version > known:
		e.amiss(part, fmt.Sprintf("Schema bot is at version %d, newer than this program, which knows %d.", version, known), "Start the newer program: "+newerProgram)
	case version < known:
		e.well(part, "%s answers; schema bot is at version %d and is brought to %d when the bot starts.", where, version, known)
	default:
		e.well(part, "%s answers; schema bot is at version %d.", where, version)
	}
}

const newerProgram = "the one that wrote the database, or any later one. An older program must not write there."

func (e *examination) lookAtHomeserver(ctx context.Context) {
	const part = "homeserver"
	switch {
	case e.options.Homeserver == "":
		e.amiss(part, "No homeserver is named.", "Set MATRIX_HOMESERVER, such as https://matrix.example.org")
		return
	case e.options.UserID == "":
		e.amiss(part, "No Matrix ID is named.", "Set MATRIX_USER_ID, such as @mosaic:example.org")
		return
	}
	client, err := mautrix.NewClient(e.options.Homeserver, id.UserID(e.options.UserID), "")
	if err != nil {
		e.amiss(part, fmt.Sprintf("The homeserver URL %q cannot be used.", e.options.Homeserver), "Write MATRIX_HOMESERVER like https://matrix.example.org")
		return
	}
	if _, _, err := id.UserID(e.options.UserID).Parse(); err != nil {
		e.amiss(part, fmt.Sprintf("%q is not a Matrix ID.", e.options.UserID), "Write MATRIX_USER_ID like @mosaic:example.org")
		return
	}
	asked := e.options.Now()
	var dated dateKeeper
	client.Client = &http.Client{Timeout: examinePatience, Transport: &dated}
	versions, err := client.Versions(ctx)
	took := e.options.Now().Sub(asked)
	if err != nil {
		e.amiss(part, fmt.Sprintf("The homeserver at %s does not answer as one: %s.", e.options.Homeserver, rootCause(err)),
			"Start it, or correct MATRIX_HOMESERVER; `curl "+strings.TrimRight(e.options.Homeserver, "/")+"/_matrix/client/versions` must answer.")
		return
	}
	e.client = client
	if at, ok := dated.date(); ok {
		e.times = append(e.times, clockReading{"the homeserver", at, asked, e.options.Now()})
	}
	e.well(part, "%s answers in %s, Matrix %s.", e.options.Homeserver, took.Round(time.Millisecond), versions.GetLatest())
}

// lookAtToken asks whose the token is that the bot goes on with.
func (e *examination) lookAtToken(ctx context.Context) {
	const part = "token"
	if e.client == nil {
		e.unknown(part, "It needs the homeserver.")
		return
	}
	if e.database != nil && e.hasTable(ctx, "account") {
		stored, err := loadAccount(ctx, e.database)
		if err != nil {
			e.amiss(part, rootCause(err)+".", "Let the role of MOSAIC_BOT_DATABASE own schema bot.")
			return
		}
		e.account = stored
	}
	if e.options.Registration != nil {
		e.lookAtRegistration(ctx)
		return
	}
	given := e.options.Password != "" || e.options.AccessToken != "" || e.options.RefreshToken != ""
	switch {
	case e.account != nil && e.account.UserID != id.UserID(e.options.UserID):
		e.amiss(part, fmt.Sprintf("The database belongs to %s, not to %s.", e.account.UserID, e.options.UserID), "Correct MATRIX_USER_ID, or give each bot a database of its own.")
		return
	case e.account != nil:
		e.client.AccessToken, e.client.DeviceID = e.account.AccessToken, e.account.DeviceID
	case e.options.AccessToken != "":
		e.client.AccessToken = e.options.AccessToken
	case given:
		e.unknown(part, "The bot has not logged in yet; its first start does, with the password or the refresh token.")
		return
	default:
		e.amiss(part, "The bot has not logged in yet and has nothing to do it with.", "Set MATRIX_PASSWORD, MATRIX_ACCESS_TOKEN or MATRIX_REFRESH_TOKEN.")
		return
	}
	who, err := e.client.Whoami(ctx)
	switch {
	case errors.Is(err, mautrix.MUnknownToken) && e.renews(ctx):
		e.client.AccessToken = ""
		e.unknown(part, "It has ended, and the bot renews it with its refresh token when it runs; if it cannot, its log says so, and it needs a new login and MATRIX_REFRESH_TOKEN.")
	case errors.Is(err, mautrix.MUnknownToken) && e.options.Password != "":
		e.client.AccessToken = ""
		e.amiss(part, "The homeserver has ended the bot's login.", "Start the bot again: with MATRIX_PASSWORD, which is set, it logs in anew and goes on.")
	case errors.Is(err, mautrix.MUnknownToken):
		e.client.AccessToken = ""
		e.amiss(part, "The homeserver does not know the bot's token.", "Set MATRIX_PASSWORD, or MATRIX_ACCESS_TOKEN to the token of a new login, and start the bot again.")
	case err != nil:
		e.client.AccessToken = ""
		e.amiss(part, fmt.Sprintf("The homeserver did not say whose the token is: %s.", rootCause(err)), "Try again; if it stays, look into the homeserver's log.")
	case who.UserID != id.UserID(e.options.UserID):
		e.amiss(part, fmt.Sprintf("The token is %s's, but %s is configured.", who.UserID, e.options.UserID), "Correct the one that is wrong.")
	default:
		e.client.DeviceID = who.DeviceID
		e.well(part, "It is %s's, on device %s.", who.UserID, who.DeviceID)
	}
}

// renews says whether the bot holds a refresh token.
func (e *examination) renews(ctx context.Context) bool {
	if e.database == nil || !e.hasTable(ctx, "renewal") {
		return false
	}
	var held bool
	err := e.database.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM renewal WHERE token <> '')`).Scan(&held)
	return err == nil && held
}

func (e *examination) hasTable(ctx context.Context, name string) bool {
	var there bool
	err := e.database.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, schema+"."+name).Scan(&there)
	return err == nil && there
}

// rootCause is the innermost sentence of an error, in one line.
func rootCause(err error) string {
	var failure mautrix.HTTPError
	if errors.As(err, &failure) && failure.RespError != nil {
		return oneLineOf(failure.RespError.ErrCode + " " + failure.RespError.Err)
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return oneLineOf(err.Error())
}

func oneLineOf(text string) string {
	return strings.TrimRight(strings.Join(strings.Fields(text), " "), ".")
}
