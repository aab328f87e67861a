package bot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
)

// login logs the bot's user in as its operator would.
func (b *bench) login(t *testing.T, device id.DeviceID, refresh bool) *mautrix.RespLogin {
	t.Helper()
	client, err := mautrix.NewClient(localtest.Homeserver(t).URL, "", "")
	require.NoError(t, err)
	answer, err := client.Login(t.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: b.options.UserID},
		Password: b.options.Password, DeviceID: device, RefreshToken: refresh,
	})
	require.NoError(t, err)
	return answer
}

func (b *bench) token(t *testing.T) (access string) {
	t.Helper()
	require.NoError(t, b.bots(t).QueryRow(t.Context(), `SELECT access_token FROM renewal`).Scan(&access))
	return access
}

// renewed waits until the bot holds another access token.
func (b *bench) renewed(t *testing.T, before string) string {
	t.Helper()
	require.Eventually(t, func() bool { return b.token(t) != before }, 2*patience, tick)
	return b.token(t)
}

func TestAnAccessTokenThatEndsIsRenewedAtTheHomeserverWhileTheBotRuns(t *testing.T) {
	t.Parallel()
	localtest.Synapse(t)
	b := setup(t)
	b.options.RefreshToken = b.login(t, "", true).RefreshToken
	require.NotEmpty(t, b.options.RefreshToken)
	b.options.Password = ""
	running := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	second := b.renewed(t, b.token(t))
	b.renewed(t, second)
	b.answered(t, b.say(t, `!mosaic dispatch coder "after two tokens"`), "D-1")
	b.quiet(t)
	terminate(t, running)
	running = b.process(t)
	b.answered(t, b.say(t, `!mosaic dispatch coder "after a restart"`), "D-2")

	b.quiet(t)
	terminate(t, running)
	require.Eventually(t, func() bool { return b.count(t, `SELECT count(*) FROM renewal WHERE renew_at < now()`) == 1 }, 2*patience, tick)
	armed := b.process(t, faultVariable+"=token.answered@"+filepath.Join(t.TempDir(), "fired"))
	requireKilled(t, armed, "token.answered")
	b.process(t)
	b.answered(t, b.say(t, `!mosaic dispatch coder "after a token that was never stored"`), "D-3")
	require.Len(t, b.fleet.listDispatches(t), 3)
}

func TestAPasswordLoginWhoseTokenEndsAsksForARefreshToken(t *testing.T) {
	t.Parallel()
	localtest.Synapse(t)
	b := setup(t)
	var logins atomic.Int32
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasSuffix(r.URL.Path, "/login") || logins.Add(1) > 1 {
			return false
		}
		// As a Synapse with nonrefreshable_access_token_lifetime answers.
		recorded := httptest.NewRecorder()
		b.homeserver.forward.ServeHTTP(recorded, r)
		answer := map[string]any{}
		_ = json.Unmarshal(recorded.Body.Bytes(), &answer)
		answer["expires_in_ms"] = 60000
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
		return true
	})
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.renewed(t, b.token(t))
	require.EqualValues(t, 2, logins.Load(), "both on one device")
	b.answered(t, b.say(t, "!mosaic status"), "")
}

func TestALoginThatEndsSoftlyWhileTheBotRunsIsMendedWithThePassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	ended := b.token(t)
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer "+ended {
			return false
		}
		unknownToken(w, true)
		return true
	})
	b.answered(t, b.say(t, `!mosaic dispatch coder "logged in again"`), "D-1")
	require.NotEqual(t, ended, b.token(t))
}

func unknownToken(w http.ResponseWriter, soft bool) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	fmt.Fprintf(w, `{"errcode":"M_UNKNOWN_TOKEN","error":"Token is not active","soft_logout":%t}`, soft)
}

// tokenEndpoint stands for an OAuth 2.0 server before a real homeserver: it gives the homeserver's own access tokens for refresh tokens
// that are good for one use (RFC 6749, section 6).
type tokenEndpoint struct {
	mutex   sync.Mutex
	bench   *bench
	good    string
	device  id.DeviceID
	life    time.Duration
	ended   map[string]bool
	refused int
	uses    int
	serve   func(w http.ResponseWriter, r *http.Request) bool
}

const oauthClient = "01MOSAIC"

// withOAuth has a bench's homeserver tell of a token endpoint, and the bot hold a refresh token for it and nothing else.
func withOAuth(t *testing.T, b *bench, life time.Duration) *tokenEndpoint {
	t.Helper()
	first := b.login(t, "", false)
	e := &tokenEndpoint{bench: b, good: "refresh-0", device: first.DeviceID, life: life, ended: map[string]bool{}}
	b.options.RefreshToken, b.options.OAuthClientID = e.good, oauthClient
	password := b.options.Password // it logs in with what the bot does not have
	b.options.Password = ""
	e.serve = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case strings.HasSuffix(r.URL.Path, "/auth_metadata"):
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":%q}`, b.homeserver.url+"/", b.homeserver.url+"/oauth2/token")
			return true
		case r.URL.Path == "/oauth2/token":
			e.give(t, w, r, password)
			return true
		}
		return e.refuse(w, r)
	}
	b.homeserver.set(e.serve)
	return e
}

func (e *tokenEndpoint) refuse(w http.ResponseWriter, r *http.Request) bool {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !e.ended[token] {
		return false
	}
	e.refused++
	unknownToken(w, false)
	return true
}

func (e *tokenEndpoint) give(t *testing.T, w http.ResponseWriter, r *http.Request, password string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if r.PostFormValue("grant_type") != "refresh_token" || r.PostFormValue("client_id") != oauthClient || r.PostFormValue("refresh_token") != e.good {
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"invalid_grant"}`)
		return
	}
	e.uses++
	e.good = fmt.Sprintf("refresh-%d", e.uses)
	client, _ := mautrix.NewClient(localtest.Homeserver(t).URL, "", "")
	answer, err := client.Login(r.Context(), &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: e.bench.options.UserID},
		Password: password, DeviceID: e.device,
	})
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":%d,"refresh_token":%q}`, answer.AccessToken, int(e.life.Seconds()), e.good)
}

func (e *tokenEndpoint) end(token string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.ended[token] = true
}

func TestAnOAuthTokenIsRenewedBeforeItEndsAndEachRefreshTokenIsUsedOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	e := withOAuth(t, b, 8*time.Second)
	running := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	second := b.renewed(t, b.token(t))
	b.renewed(t, second)
	b.answered(t, b.say(t, `!mosaic dispatch coder "renewed"`), "D-1")
	b.quiet(t)
	terminate(t, running)
	b.process(t) // with the first refresh token still given: the stored one goes on
	b.answered(t, b.say(t, `!mosaic dispatch coder "started again"`), "D-2")
	require.Eventually(t, func() bool { // one that is being renewed just now is not stored yet
		e.mutex.Lock()
		defer e.mutex.Unlock()
		return b.count(t, `SELECT count(*) FROM renewal WHERE token = $1`, e.good) == 1
	}, patience, tick)
	e.mutex.Lock()
	defer e.mutex.Unlock()
	require.Zero(t, e.refused, "no request went out with a token that had ended")
}

// overOAuth has a bot at work with the first token of an endpoint, one that does not end by itself.
func overOAuth(t *testing.T) (b *bench, e *tokenEndpoint, first string) {
	t.Helper()
	b = setup(t)
	e = withOAuth(t, b, time.Hour)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	return b, e, b.token(t)
}

// A homeserver's memory of transaction IDs may belong to the access token.
func TestAMessageWhoseAnswerWasLostIsNotSentTwiceAlthoughTheTokenChanged(t *testing.T) {
	t.Parallel()
	b, e, first := overOAuth(t)
	var lost atomic.Int32
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if sends(r) && lost.Add(1) == 1 {
			b.homeserver.forward.ServeHTTP(httptest.NewRecorder(), r)
			e.end(first)
			cut()
		}
		return e.serve(w, r)
	})
	asked := b.say(t, `!mosaic dispatch coder "once"`)
	b.answered(t, asked, "D-1")
	b.signed(t, asked, "✅")
	b.quiet(t)
	require.NotEqual(t, first, b.token(t))
	require.NotZero(t, e.refused)
	require.Len(t, b.replies(asked), 1)
	require.Equal(t, []string{"✅"}, b.signs(asked))
}

func TestARefreshTokenIsNotUsedAgainBeforeWhatItGaveIsStored(t *testing.T) {
	t.Parallel()
	b, e, first := overOAuth(t)
	_, err := b.bots(t).Exec(t.Context(), `ALTER TABLE renewal ADD CONSTRAINT cut CHECK (access_token = '`+first+`') NOT VALID`)
	require.NoError(t, err)
	e.end(first)
	asked := b.say(t, `!mosaic dispatch coder "kept waiting"`)
	require.Eventually(t, func() bool {
		e.mutex.Lock()
		defer e.mutex.Unlock()
		return e.uses == 2 && e.refused > 3
	}, patience, tick, "it tries to store what it was given, again and again")
	require.Equal(t, first, b.token(t))
	_, err = b.bots(t).Exec(t.Context(), `ALTER TABLE renewal DROP CONSTRAINT cut`)
	require.NoError(t, err)
	b.answered(t, asked, "D-1")
	require.Equal(t, 2, e.uses)
}
