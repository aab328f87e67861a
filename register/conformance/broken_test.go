package conformance_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/conformance"
)

// brokenGateway is broken in several ways at once, no two of which are shown by the same promise.
type brokenGateway struct {
	faults []fault
	shown  map[string]string // the fault that each promise shows
}

// brokenGateways are as few as can be, since a run takes its time whatever is broken.
func brokenGateways() []*brokenGateway {
	var all []*brokenGateway
	for _, fault := range faults {
		shared := func(g *brokenGateway) bool {
			return !slices.ContainsFunc(fault.shows, func(promise string) bool { return g.shown[promise] != "" })
		}
		at := slices.IndexFunc(all, shared)
		if at < 0 {
			at, all = len(all), append(all, &brokenGateway{shown: make(map[string]string)})
		}
		all[at].faults = append(all[at].faults, fault)
		for _, promise := range fault.shows {
			all[at].shown[promise] = fault.name
		}
	}
	return all
}

func TestABrokenGatewayIsCaughtByTheRightPromise(t *testing.T) {
	t.Parallel()
	for i, gateway := range brokenGateways() {
		t.Run(fmt.Sprintf("gateway %d", i+1), func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			report := b.try(t, b.behind(t, gateway.breaks(b.admin)))
			seen := broken(report)
			for _, fault := range gateway.faults {
				for _, promise := range fault.shows {
					require.Contains(t, seen, promise, "%s: %s", fault.name, table(t, report))
				}
				require.Contains(t, seen[fault.shows[0]], fault.says, fault.name)
			}
			for promise, instead := range seen {
				require.Contains(t, gateway.shown, promise, "nothing that is broken here shows in it, and it saw: %s", instead)
			}
		})
	}
}

// breaks puts one fault before the other; each finds the admin's token in a header.
func (g *brokenGateway) breaks(admin string) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		broken := gateway
		for _, fault := range g.faults {
			broken = fault.breaks(broken)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Set("Test-Admin", admin)
			broken.ServeHTTP(w, r)
		})
	}
}

func TestAGatewayThatDoesNotSayWhenToComeBackIsCaught(t *testing.T) {
	t.Parallel()
	const promise = "a token that asks too often: 429 rate_limited with Retry-After; others are not held back, and it goes on in time"
	for after, seen := range map[string]string{"1": "", "": "Retry-After \"\"", "soon": "Retry-After \"soon\"", "3600": "Retry-After \"3600\""} {
		t.Run("after "+after, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			report, err := conformance.Run(t.Context(), conformance.Options{URL: b.behind(t, limiting(b, after)), Token: b.admin, RateProbe: 300, Only: []string{"rates"}})
			require.NoError(t, err)
			if seen == "" {
				require.Empty(t, report.Broken(), table(t, report))
				require.NotContains(t, table(t, report), "no limit was met")
				return
			}
			require.Contains(t, broken(report)[promise], seen, table(t, report))
			require.Len(t, report.Broken(), 1)
		})
	}
}

func TestAGatewayThatNeverSeesAKeyIsCaughtAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	report := b.try(t, b.behind(t, changing(func(r *http.Request) { r.Header.Del("Idempotency-Key") })))
	require.Contains(t, broken(report)["an admin makes identities, and they are listed"], "400 invalid (“Idempotency-Key is missing")
	require.Contains(t, table(t, report), "not tried: the identities it needs are missing")
}

func TestANestJSErrorIsReportedClearly(t *testing.T) {
	t.Parallel()
	for message, sentence := range map[string]string{
		`"Unauthorized"`: "Unauthorized", `["token must be a string","token is short"]`: "token must be a string; token is short",
	} {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			report := b.try(t, b.behind(t, alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
				if a.Code < 400 || r.URL.Path != "/api/fleet/whoami" {
					return a.Body.Bytes()
				}
				a.Header().Set("Content-Type", "application/json; charset=utf-8")
				return fmt.Appendf(nil, `{"statusCode":%d,"message":%s,"error":"Unauthorized"}`, a.Code, message)
			})))
			require.Equal(t, map[string]string{
				"without a known token: 401 unauthorized": "GET /api/fleet/whoami answered 401 with a NestJS error (“" + sentence + "”) that has no code, not unauthorized",
				"a stranger as actor: 403 actor_unknown":  "GET /api/fleet/whoami answered 403 with a NestJS error (“" + sentence + "”) that has no code, not actor_unknown",
				"whoAmI answers in the contract's shape":  "answered a NestJS error {statusCode, message, error} (“" + sentence + "”) instead of problem details with a stable code",
			}, broken(report))
		})
	}
}
