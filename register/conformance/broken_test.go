package conformance_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/conformance"
)

// fault is a gateway that is broken in one way, and the promises that show it: these and no others.
type fault struct {
	name   string
	breaks func(http.Handler) http.Handler
	shows  []string
	says   string // in what was seen of the first of them
}

var faults = []fault{
	{
		"it forgets the keys", forgetKeys,
		[]string{
			"the same key and payload answers the same, byte for byte", "the same key with another payload is 409 idempotency_mismatch",
			"a repeated key takes effect once", "8 requests at once under one key take effect once",
		},
		"/api/fleet/dispatches/D-",
	},
	{"it runs the later of two requests under one key", forgetOthers, []string{"the same key with another payload is 409 idempotency_mismatch"}, "201"},
	{"it tells events out of order", events(holdBack("dispatch.running")), []string{"ids rise by one, so that nothing is missed"}, "after"},
	{
		"it loses events", events(lose("dispatch.progress")),
		[]string{"a change is told, in the order of its moves", "ids rise by one, so that nothing is missed"},
		"dispatch.progress of D-",
	},
	{
		"it tells an event in another shape", events(func(told []string) []string {
			return []string{strings.Replace(told[len(told)-1], `"host":`, `"hosts":`, 1)}
		}),
		[]string{"streamEvents answers in the contract's shape", "every event is an entry, as it was told"},
		`property "host" is missing`,
	},
	{
		"it forgets where a reader was", changing(func(r *http.Request) { r.Header.Del("Last-Event-ID") }),
		[]string{
			"what was heard is told again from its Last-Event-ID", "a reader that hangs up resumes with the next event",
			"0 starts with the first retained event", "a Last-Event-ID that is no number: 400 invalid",
			"a position that is no longer retained: 410 gone, with how to go on",
		},
		"is not told again",
	},
	{
		"it gives an error another code", alter(func(_ *http.Request, a *httptest.ResponseRecorder) []byte {
			return bytes.ReplaceAll(a.Body.Bytes(), []byte("actor_unknown"), []byte("not_found"))
		}),
		[]string{"a stranger as actor: 403 actor_unknown"},
		"403 not_found (“The register does not know conformance-nobody-",
	},
	{
		"it gives an error without a sentence", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			if a.Code < 400 || !strings.HasSuffix(r.URL.Path, "/cancel") {
				return a.Body.Bytes()
			}
			return edit(a.Body.Bytes(), func(problem map[string]any) { problem["detail"] = "line one\nline two" })
		}),
		[]string{"cancelDispatch answers in the contract's shape"},
		"not one sentence",
	},
	{
		"it gives a success in another shape", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			if r.Method != http.MethodGet || r.URL.Path != "/api/fleet/budgets" || a.Code != http.StatusOK {
				return a.Body.Bytes()
			}
			return bytes.ReplaceAll(a.Body.Bytes(), []byte(`"step":"normal"`), []byte(`"step":"fine"`))
		}),
		[]string{"listBudgets answers in the contract's shape"},
		"windows.0.step",
	},
	{
		"it makes changes over the head of whoever was faster", changing(func(r *http.Request) { r.Header.Del("If-Match") }),
		[]string{"a change with an older ETag is 412 precondition_failed, and shows what stands there"},
		"overtaken it answered 200",
	},
	{
		"it forgets what is asked for again", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			if !strings.HasSuffix(r.URL.Path, "/retry") || a.Code != http.StatusCreated {
				return a.Body.Bytes()
			}
			return edit(a.Body.Bytes(), func(dispatch map[string]any) { delete(dispatch, "retry_of") })
		}),
		[]string{"what was cancelled is asked for again as a new one, once"},
		"was asked for again as",
	},
	{
		"it holds another amount than it was asked for", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			if !strings.HasSuffix(r.URL.Path, "/extend") || a.Code != http.StatusOK {
				return a.Body.Bytes()
			}
			return edit(a.Body.Bytes(), func(extension map[string]any) {
				extension["reserved"] = []map[string]any{{"unit": "messages", "micros": 1}}
			})
		}),
		[]string{"a running one is extended by its own claim only", atTheCap},
		"asked to hold",
	},
	{"it lets the pace refuse an extension", refusing("/extend", `"micros":60000000`, "cap_reached", 409), []string{atTheCap}, "answered 409 cap_reached"},
	{
		"it holds past the cap", changing(func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/extend") {
				rewrite(r, func(asked map[string]any) {
					for _, amount := range asked["reserve"].([]any) {
						if total := amount.(map[string]any); fmt.Sprint(total["micros"]) == "101000000" {
							total["micros"] = 61_000_000
						}
					}
				})
			}
		}),
		[]string{atTheCap},
		"not cap_reached",
	},
	{
		"it books one unit of several", changing(func(r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/complete") {
				rewrite(r, func(end map[string]any) {
					if actuals, _ := end["actuals"].([]any); len(actuals) > 1 {
						end["actuals"] = []any{actuals[1]}
					}
				})
			}
		}),
		[]string{"one run holds, meters and spends several units"},
		"the window tokens has 3000000 committed",
	},
	{
		"it forgets units that a heartbeat leaves out", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			return edit(a.Body.Bytes(), func(dispatch map[string]any) {
				if metered, _ := dispatch["metered"].([]any); len(metered) > 1 {
					dispatch["metered"] = metered[1:]
				}
			})
		}),
		[]string{"one run holds, meters and spends several units"},
		"one by one, and it shows",
	},
	{
		"it takes a session of any size", changing(func(r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/api/fleet/dispatches" {
				rewrite(r, func(asked map[string]any) { delete(asked, "context_tokens") })
			}
		}),
		[]string{"a session that does not fit its context is 422 context_cap"},
		"not context_cap",
	},
	{"it lets work be retried twice", retryTwice(), []string{"what was cancelled is asked for again as a new one, once"}, "not already_retried"},
	{"it gives one dispatch to two workers", claimTwice(), []string{"16 claimers at once get each dispatch once"}, "was given with the claim"},
	{
		"it forgets what a worker is logged in to", changing(func(r *http.Request) {
			if r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/api/fleet/agents/") {
				rewrite(r, func(declaration map[string]any) { delete(declaration, "subscriptions") })
			}
		}),
		[]string{"a worker gets only work of the subscriptions it is logged in to"},
		"a worker logged in to conformance/elsewhere only was given D-",
	},
	{
		"it keeps who was retired", changing(func(r *http.Request) {
			if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "-retire-") {
				r.Method = http.MethodGet
			}
		}),
		[]string{"a retired agent gets no more work: 409 agent_retired"},
		"retired it is live",
	},
	{
		"it takes whoever was declared once for alive", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.Path, "/api/fleet/agents/") {
				return a.Body.Bytes()
			}
			return bytes.ReplaceAll(a.Body.Bytes(), []byte(`"state":"gone"`), []byte(`"state":"live"`))
		}),
		[]string{"an agent that is not heard for its liveness is gone, and back when it claims"},
		"it is live, not gone",
	},
	{
		"it admits work that nobody can run", mansEverything(),
		[]string{"work that only lacks a worker waits, holds nothing, and is ready once one is declared"},
		"without a worker it is ready",
	},
	{
		"it forgets use when a window is amended", changing(func(r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/api/fleet/budgets" {
				rewrite(r, func(set map[string]any) {
					if set["used_micros"] == nil {
						set["used_micros"] = 0
					}
				})
			}
		}),
		[]string{"setting it again amends it and keeps its use"},
		"CommittedMicros:0",
	},
	{
		"it takes every window for a one-off", changing(func(r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/api/fleet/budgets" {
				rewrite(r, func(set map[string]any) {
					if set["recurrence"] != nil {
						set["recurrence"], set["reset_at"] = "once", "2099-01-01T09:00:00+01:00"
					}
				})
			}
		}),
		[]string{"a recurring window takes its epoch from its calendar, a rolling one waits for its first work"},
		"every day at 09:00 in Europe/Berlin is from",
	},
	{
		"it lets anybody vote", changing(func(r *http.Request) {
			if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/votes/") {
				r.Header.Set("Mosaic-Actor", "conformance-board")
			}
		}),
		[]string{"only the seat's holder votes for it"},
		"not not_seated",
	},
	{
		"it changes an entry of the audit", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			if r.URL.Path != "/api/fleet/audit/entries" {
				return a.Body.Bytes()
			}
			return bytes.ReplaceAll(a.Body.Bytes(), []byte("technical"), []byte("strategic"))
		}),
		[]string{
			"seals chain the entries within seconds, anyone computes the same, and a head that was read stays in the chain",
			"every event is an entry, as it was told",
		},
		"are not what was sealed",
	},
	{
		"it cuts the tail of the audit off", alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
			if r.URL.Path != "/api/fleet/audit/seals" || r.URL.Query().Get("limit") == "1" {
				return a.Body.Bytes()
			}
			return edit(a.Body.Bytes(), func(page map[string]any) {
				if seals := page["seals"].([]any); len(seals) > 0 {
					page["seals"] = seals[:len(seals)-1]
				}
			})
		}),
		[]string{"seals chain the entries within seconds, anyone computes the same, and a head that was read stays in the chain"},
		"The tail is cut off",
	},
	{
		"it passes over events that are gone", changing(func(r *http.Request) {
			if r.Header.Get("Last-Event-ID") == "1" {
				r.Header.Set("Last-Event-ID", "0")
			}
		}),
		[]string{"a position that is no longer retained: 410 gone, with how to go on"},
		"after 1 it was answered 200",
	},
	{
		"it reads a list from its start whatever the cursor", changing(func(r *http.Request) {
			if query := r.URL.Query(); query.Get("cursor") != "" && r.URL.Path == "/api/fleet/identities" {
				query.Del("cursor")
				r.URL.RawQuery = query.Encode()
			}
		}),
		[]string{"short pages follow each other as one long page has it", "a cursor that the list did not give: 400 invalid"},
		"/api/fleet/identities",
	},
	{
		"it lets anybody in", changing(func(r *http.Request) {
			if r.URL.Path == "/api/fleet/whoami" && r.Header.Get("Authorization") == "" {
				r.Header.Set("Authorization", "Bearer "+r.Header.Get("Test-Admin"))
			}
		}),
		[]string{"without a known token: 401 unauthorized"},
		"answered 200",
	},
}

func TestABrokenGatewayIsCaughtByTheRightPromise(t *testing.T) {
	t.Parallel()
	var wait sync.WaitGroup
	turns := make(chan struct{}, 5) // most of a run is waiting
	for _, fault := range faults {
		wait.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			t.Run(fault.name, func(t *testing.T) {
				b := setup(t)
				report := b.try(t, b.behind(t, func(gateway http.Handler) http.Handler {
					broken := fault.breaks(gateway)
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						r.Header.Set("Test-Admin", b.admin)
						broken.ServeHTTP(w, r)
					})
				}))
				seen := broken(report)
				require.ElementsMatch(t, fault.shows, slices.Collect(maps.Keys(seen)), table(t, report))
				require.Contains(t, seen[fault.shows[0]], fault.says)
			})
		})
	}
	wait.Wait()
}

// limiting refuses what a token asks beyond 40 requests of who it is, until a second has passed.
func limiting(b *bundle, after string) func(http.Handler) http.Handler {
	var mutex sync.Mutex
	asked, until := map[string]int{}, map[string]time.Time{}
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			mutex.Lock()
			asked[token]++
			if asked[token] == 40 {
				until[token] = time.Now().Add(time.Second)
			}
			wait := time.Until(until[token])
			mutex.Unlock()
			if token == b.admin || r.URL.Path != "/api/fleet/whoami" || wait <= 0 {
				gateway.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"type":"/problems/rate_limited","title":"Too Many Requests","status":429,"code":"rate_limited","detail":"Too many.","next_step":"Wait."}`)
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
			report, err := conformance.Run(t.Context(), conformance.Options{URL: b.behind(t, limiting(b, after)), Token: b.admin, RateProbe: 300})
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

// changing alters a request before the gateway gets it.
func changing(change func(*http.Request)) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			change(r)
			gateway.ServeHTTP(w, r)
		})
	}
}

// forgetKeys makes a new key for every request that has a good one.
func forgetKeys(gateway http.Handler) http.Handler {
	return changing(func(r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); key != "" && len(key) <= 255 {
			r.Header.Set("Idempotency-Key", rand.Text())
		}
	})(gateway)
}

// forgetOthers remembers a key only together with its payload, for new dispatches.
func forgetOthers(gateway http.Handler) http.Handler {
	return changing(func(r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); r.URL.Path == "/api/fleet/dispatches" && key != "" && len(key) < 100 {
			r.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%x", key, bodyOf(r)[:min(len(bodyOf(r)), 50)])+fmt.Sprint(len(bodyOf(r))))
		}
	})(gateway)
}

func bodyOf(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

func rewrite(r *http.Request, change func(map[string]any)) {
	body := edit(bodyOf(r), change)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// edit changes a JSON object; anything else stays as it is.
func edit(body []byte, change func(map[string]any)) []byte {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&object) != nil {
		return body
	}
	change(object)
	changed, _ := json.Marshal(object)
	return changed
}

// mansEverything declares a worker for every role before it asks for work of it.
func mansEverything() func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/api/fleet/dispatches" && r.Header.Get("Authorization") != "" {
				var asked struct{ Role string }
				if json.Unmarshal(bodyOf(r), &asked) == nil && strings.HasSuffix(asked.Role, "-lack") {
					declare := httptest.NewRequest(http.MethodPut, "/api/fleet/agents/"+asked.Role+"-5", strings.NewReader(`{}`))
					declare.Header.Set("Authorization", r.Header.Get("Authorization"))
					declare.Header.Set("Content-Type", "application/json")
					declare.Header.Set("Idempotency-Key", rand.Text())
					gateway.ServeHTTP(httptest.NewRecorder(), declare)
				}
			}
			gateway.ServeHTTP(w, r)
		})
	}
}

const atTheCap = "a running one is extended past the pace, never past the cap, on all windows or on none"

// refusing answers a request whose body holds something with a problem.
func refusing(path, holds, code string, status int) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, path) || !bytes.Contains(bodyOf(r), []byte(holds)) {
				gateway.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"type":"/problems/%[1]s","title":"Conflict","status":%[2]d,"code":%[1]q,"detail":"Not now."}`, code, status)
		})
	}
}

// retryTwice answers a retry of what was retried already as the first one was answered.
func retryTwice() func(http.Handler) http.Handler {
	var mutex sync.Mutex
	first := make(map[string][]byte)
	return alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
		mutex.Lock()
		defer mutex.Unlock()
		switch {
		case !strings.HasSuffix(r.URL.Path, "/retry"):
		case a.Code == http.StatusCreated:
			first[r.URL.Path] = a.Body.Bytes()
		case bytes.Contains(a.Body.Bytes(), []byte("already_retried")):
			a.Code = http.StatusCreated
			a.Header().Set("Content-Type", "application/json")
			return first[r.URL.Path]
		}
		return a.Body.Bytes()
	})
}

// claimTwice answers every claim in the race with the first one's answer.
func claimTwice() func(http.Handler) http.Handler {
	var mutex sync.Mutex
	var first []byte
	return func(gateway http.Handler) http.Handler {
		altered := alter(func(_ *http.Request, a *httptest.ResponseRecorder) []byte {
			mutex.Lock()
			defer mutex.Unlock()
			if first == nil {
				first = a.Body.Bytes()
			}
			return first
		})(gateway)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/fleet/claims" && bytes.Contains(bodyOf(r), []byte("-race")) {
				altered.ServeHTTP(w, r)
				return
			}
			gateway.ServeHTTP(w, r)
		})
	}
}

// events takes the log apart and tells what tell makes of the messages so far, of which the last is new.
func events(tell func(told []string) []string) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/fleet/events" {
				gateway.ServeHTTP(w, r)
				return
			}
			gateway.ServeHTTP(&retelling{ResponseWriter: w, tell: tell}, r)
		})
	}
}

type retelling struct {
	http.ResponseWriter
	tell func([]string) []string
	rest string
	told []string
}

func (r *retelling) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *retelling) Write(part []byte) (int, error) {
	if r.Header().Get("Content-Type") != "text/event-stream" {
		return r.ResponseWriter.Write(part)
	}
	r.rest += string(part)
	for {
		message, rest, whole := strings.Cut(r.rest, "\n\n")
		if !whole {
			return len(part), nil
		}
		r.rest, r.told = rest, append(r.told, message+"\n\n")
		for _, message := range r.tell(r.told) {
			if _, err := io.WriteString(r.ResponseWriter, message); err != nil {
				return 0, err
			}
		}
	}
}

func isOf(message, kind string) bool { return strings.Contains(message, "\nevent: "+kind+"\n") }

// holdBack tells a kind of event after the one that follows it.
func holdBack(kind string) func([]string) []string {
	return func(told []string) []string {
		last := told[len(told)-1]
		var now []string
		if !isOf(last, kind) {
			now = append(now, last)
		}
		for i := len(told) - 2; i >= 0 && isOf(told[i], kind) && !isOf(last, kind); i-- {
			now = append(now, told[i])
		}
		return now
	}
}

func lose(kind string) func([]string) []string {
	return func(told []string) []string {
		if isOf(told[len(told)-1], kind) {
			return nil
		}
		return told[len(told)-1:]
	}
}
