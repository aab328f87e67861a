package bot

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// renewMargin is how long before its end an access token is renewed, if it lives long enough.
const renewMargin = time.Minute

// renewal puts the bot's access token on every request and renews it before it ends, or when the homeserver says that it has. A
// refresh token is used up when it is used, so what it gave is stored before anything is done with it. Until then a homeserver takes the
// old one again: it counts as used only when a token it gave is.
type renewal struct {
	next     http.RoundTripper
	database *dbutil.Database
	options  Options
	now      func() time.Time

	mutex   sync.Mutex
	device  id.DeviceID
	given   map[string]bool // the access tokens of this login; requests with any of them get the present one
	held    grant
	unkept  *grant // given, and not stored yet
	renewAt time.Time
	failure error // why it could not be renewed
	failed  time.Time
}

// renewPause is how long a failure to renew stands before it is tried again.
const renewPause = 5 * time.Second

// grant is an access token and what gets the next.
type grant struct {
	Access  string
	Refresh string
	Life    time.Duration // 0 if it has no end
}

func loadRenewal(ctx context.Context, database *dbutil.Database, options Options, next http.RoundTripper) (*renewal, error) {
	r := &renewal{next: next, database: database, options: options, now: options.Now, given: map[string]bool{}}
	var at sql.NullTime
	err := database.QueryRow(ctx, `SELECT token, access_token, renew_at FROM renewal`).Scan(&r.held.Refresh, &r.held.Access, &at)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("reading the refresh token: %w", err)
	}
	r.renewAt = at.Time
	if r.held.Access != "" {
		r.given[r.held.Access] = true
	}
	return r, nil
}

// of has the renewal speak for the login of an account, and the account have its present token.
func (r *renewal) of(a *account) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.device = a.DeviceID
	switch {
	case a.Stale != "":
	case r.given[a.AccessToken]:
		a.AccessToken = r.held.Access
	default:
		r.held, r.renewAt, r.given = grant{Access: a.AccessToken}, time.Time{}, map[string]bool{a.AccessToken: true}
	}
}

// RoundTrip implements http.RoundTripper.
func (r *renewal) RoundTrip(request *http.Request) (*http.Response, error) {
	given, ok := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
	if !ok || !r.ours(given) {
		return r.next.RoundTrip(request)
	}
	token, err := r.present(request.Context())
	if err != nil {
		zerolog.Ctx(request.Context()).Warn().Err(err).Msg("The access token cannot be renewed yet")
	}
	response, err := r.next.RoundTrip(authorised(request, token))
	if err != nil || response.StatusCode != http.StatusUnauthorized || !r.ended(response) {
		return response, err
	}
	again, ok := rewound(request)
	if !ok {
		return response, nil
	}
	fresh, err := r.instead(request.Context(), token)
	if err != nil {
		zerolog.Ctx(request.Context()).Warn().Err(err).Msg("The access token has ended and cannot be renewed")
		return response, nil
	}
	response.Body.Close()
	return r.next.RoundTrip(authorised(again, fresh))
}

func (r *renewal) ours(token string) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.given[token]
}

func authorised(request *http.Request, token string) *http.Request {
	out := request.Clone(request.Context())
	out.Header.Set("Authorization", "Bearer "+token)
	return out
}

// rewound is a request whose body can be read from its beginning again.
func rewound(request *http.Request) (*http.Request, bool) {
	again := request.Clone(request.Context())
	if request.Body == nil || request.Body == http.NoBody {
		return again, true
	}
	if request.GetBody == nil {
		return nil, false
	}
	body, err := request.GetBody()
	again.Body = body
	return again, err == nil
}

// ended says whether an answer means that the access token has ended and another can be had for it. It leaves the answer readable.
func (r *renewal) ended(response *http.Response) bool {
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(raw))
	var said struct {
		Code string `json:"errcode"`
		Soft bool   `json:"soft_logout"`
	}
	if err != nil || json.Unmarshal(raw, &said) != nil || said.Code != mautrix.MUnknownToken.ErrCode {
		return false
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	// Who checks OAuth tokens for a homeserver often says of an ended one only that it is unknown.
	return r.held.Refresh != "" || said.Soft && r.options.Password != "" && r.device != ""
}

// present is the access token to use now, renewed if its end is near.
func (r *renewal) present(ctx context.Context) (string, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.unkept == nil && (r.held.Refresh == "" || r.renewAt.IsZero() || r.now().Before(r.renewAt)) {
		return r.held.Access, nil
	}
	err := r.renew(ctx)
	return r.held.Access, err
}

// instead is the access token to use after one was refused; another request may have renewed it already.
func (r *renewal) instead(ctx context.Context, refused string) (string, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.held.Access != refused {
		return r.held.Access, nil
	}
	err := r.renew(ctx)
	return r.held.Access, err
}

// renew gets and stores the next grant. The caller holds the lock. A request that is given up does not end it half way, and a
// transaction around it that fails does not undo it.
func (r *renewal) renew(ctx context.Context) error {
	if r.failure != nil && r.now().Sub(r.failed) < renewPause {
		return r.failure
	}
	ctx, cancel := context.WithTimeout(zerolog.Ctx(ctx).WithContext(context.Background()), 40*time.Second)
	defer cancel()
	r.failure = nil
	if r.unkept == nil {
		next, err := r.exchange(ctx)
		if err != nil {
			r.failure, r.failed = err, r.now()
			return err
		}
		fault("token.answered")
		r.unkept = next
	}
	return r.keep(ctx, r.held.Access)
}

// keep stores what was given and uses it from then on, in place of the account's token before. The caller holds the lock.
func (r *renewal) keep(ctx context.Context, before string) error {
	next := *r.unkept
	var at sql.NullTime
	if next.Life > 0 {
		at = sql.NullTime{Time: r.now().Add(next.Life - min(renewMargin, next.Life/4)).UTC(), Valid: true}
	}
	err := transaction(ctx, r.database, func(ctx context.Context) error {
		_, err := r.database.Exec(ctx, `INSERT INTO renewal (token, access_token, renew_at) VALUES ($1, $2, $3)
			ON CONFLICT (single) DO UPDATE SET token = excluded.token, access_token = excluded.access_token, renew_at = excluded.renew_at`,
			next.Refresh, next.Access, at)
		if err != nil {
			return err
		}
		_, err = r.database.Exec(ctx, `UPDATE account SET access_token = $1 WHERE access_token = $2`, next.Access, before)
		return err
	})
	if err != nil {
		return fmt.Errorf("storing a refresh token: %w", err)
	}
	r.held, r.renewAt, r.unkept = next, at.Time, nil
	r.given[next.Access] = true
	return nil
}

// take goes on with a grant of another login than before.
func (r *renewal) take(ctx context.Context, next *grant) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.given, r.unkept, r.failure = map[string]bool{}, next, nil
	return r.keep(ctx, "")
}

// begin uses a refresh token that an operator gave.
func (r *renewal) begin(ctx context.Context, token string) (string, error) {
	r.mutex.Lock()
	before := r.held
	r.held.Refresh = token
	next, err := r.exchange(ctx)
	r.held = before
	r.mutex.Unlock()
	if err != nil {
		return "", err
	}
	fault("token.answered")
	return next.Access, r.take(ctx, next)
}
