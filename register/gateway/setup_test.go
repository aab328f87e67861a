package gateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const tenant = "acme"

// bundle is a running gateway on a register of its own, with a token for each kind of caller.
type bundle struct {
	*Gateway
	database  string
	superuser string // of the same database
	log       *serial
	tokens    map[string]string
	admin     *register.API
	bot       *register.API
	worker    *register.API
	reader    *register.API
	olga      *register.API
}

func setup(t testing.TB) *bundle {
	t.Helper()
	database := localtest.Migrated(t, Migrate)
	b := &bundle{database: database.Gateway, superuser: database.Superuser, log: new(serial), tokens: make(map[string]string)}
	b.Gateway = b.start(t, "alpha", b.log)
	for _, identity := range []struct {
		name, kind string
		roles      []string
		scopes     []string
	}{
		{"root", "human", []string{"admin"}, []string{"admin"}},
		{"mosaic-bot", "service", nil, []string{"bot"}},
		{"coder-1", "agent", []string{"worker"}, []string{"worker"}},
		{"vera", "human", []string{"viewer"}, []string{"read"}},
		{"olga", "human", []string{"operator"}, []string{"operate"}},
	} {
		require.NoError(t, ensureIdentity(t.Context(), b.store, identity.name, identity.kind, identity.roles))
		token, err := b.store.BootstrapToken(t.Context(), identity.name, identity.scopes, time.Hour)
		require.NoError(t, err)
		b.tokens[identity.name] = token
	}
	b.admin, b.bot, b.worker = b.api("root"), b.api("mosaic-bot"), b.api("coder-1")
	b.reader, b.olga = b.api("vera"), b.api("olga")
	b.send(t, b.admin, register.PutIdentity("olga", register.IdentityRequest{
		Kind: register.IdentityRequestKindHuman, MatrixID: "@olga:localhost", Roles: []register.FleetRole{register.FleetRoleOperator},
	}), nil)
	b.send(t, b.worker, register.DeclareAgent("coder-1", register.AgentDeclaration{Host: "forge-a", LivenessSeconds: 86400}), nil)
	return b
}

// start runs a gateway until the test ends; change alters it before it serves.
func (b *bundle) start(t testing.TB, host string, log io.Writer, change ...func(*Gateway)) *Gateway {
	t.Helper()
	return b.serve(t, Options{Host: host, Log: zerolog.New(log).Level(zerolog.InfoLevel)}, change...)
}

// startWith runs another gateway with options of its own.
func (b *bundle) startWith(t testing.TB, host string, alter func(*Options)) *Gateway {
	t.Helper()
	options := Options{Host: host, Log: zerolog.Nop()}
	alter(&options)
	return b.serve(t, options)
}

func (b *bundle) serve(t testing.TB, options Options, change ...func(*Gateway)) *Gateway {
	t.Helper()
	options.Listen, options.DatabaseURL, options.Tenant = "127.0.0.1:0", b.database, tenant
	gateway, err := New(t.Context(), options)
	require.NoError(t, err)
	gateway.server.Handler = keepsToTheContract(t, gateway.server.Handler)
	for _, alter := range change {
		alter(gateway)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- gateway.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return gateway
}

func (b *bundle) api(name string) *register.API { return register.NewAPI(b.URL(), b.tokens[name]) }

// send makes a change that has to succeed.
func (b *bundle) send(t testing.TB, api *register.API, mutation register.Mutation, answer any) {
	t.Helper()
	require.NoError(t, api.Send(t.Context(), register.By{Key: rand.Text()}, mutation, answer))
}

// refused makes a change that has to fail with a code, and answers the error.
func (b *bundle) refused(t *testing.T, code register.ProblemCode, api *register.API, mutation register.Mutation) *register.Error {
	t.Helper()
	err := api.Send(t.Context(), register.By{Key: rand.Text()}, mutation, nil)
	return requireCode(t, code, err)
}

func requireCode(t *testing.T, code register.ProblemCode, err error) *register.Error {
	t.Helper()
	var failure *register.Error
	require.ErrorAs(t, err, &failure)
	require.Equal(t, code, failure.Code, failure.Detail)
	require.True(t, strings.HasSuffix(failure.Detail, "."), "one sentence: %q", failure.Detail)
	require.NotEmpty(t, failure.RequestID)
	return failure
}

// budget sets claude's window: 500 credits over 100 minutes.
func (b *bundle) budget(t *testing.T) register.BudgetChange {
	t.Helper()
	var change register.BudgetChange
	b.send(t, b.olga, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Unit: "credits", LimitMicros: 500_000_000, ResetAt: time.Now().Add(100 * time.Minute),
	}), &change)
	return change
}

func ask(credits int64) register.DispatchRequest {
	return register.DispatchRequest{
		Role: "coder", Brief: "Add a health check", Model: "opus",
		Estimate: []register.EstimateAmount{{Unit: "credits", Micros: credits * 1_000_000}},
	}
}

func (b *bundle) dispatch(t *testing.T, request register.DispatchRequest) register.Dispatch {
	t.Helper()
	var dispatch register.Dispatch
	b.send(t, b.olga, register.CreateDispatch(request), &dispatch)
	return dispatch
}

func (b *bundle) claim(t *testing.T) register.Claim {
	t.Helper()
	var claim register.Claim
	b.send(t, b.worker, register.ClaimDispatch(register.ClaimRequest{Role: "coder", Worker: "coder-1"}), &claim)
	require.NotEmpty(t, claim.ID)
	return claim
}

// raw sends a request as it is, and answers status, header and body.
func (b *bundle) raw(t *testing.T, method, path, token, body string, header ...string) (int, http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.URL()+path, strings.NewReader(body))
	require.NoError(t, err)
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, response.Header, answer
}

func problemIn(t testing.TB, body []byte) register.Problem {
	t.Helper()
	var p register.Problem
	require.NoError(t, json.Unmarshal(body, &p), string(body))
	require.NotEmpty(t, p.Code)
	require.Equal(t, "/problems/"+string(p.Code), p.Type)
	require.True(t, strings.HasSuffix(p.Detail, "."), "one sentence: %q", p.Detail)
	return p
}

// follow reads events into a channel from after a position until the test ends.
func follow(t *testing.T, api *register.API, after int64) <-chan register.Event {
	t.Helper()
	events := make(chan register.Event, 10_000)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = api.Events(ctx, after, func(event register.Event) error {
			events <- event
			return nil
		})
	}()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

func await(t *testing.T, events <-chan register.Event, kind register.EventType) register.Event {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		select {
		case event := <-events:
			if event.Type == kind {
				return event
			}
		case <-timeout:
			require.FailNow(t, "no event came", "waited for %s", kind)
		}
	}
}

// serial is a writer that several goroutines may use.
type serial struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (s *serial) Write(line []byte) (int, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.Write(line)
}

func (s *serial) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}
