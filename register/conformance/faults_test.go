package conformance_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
)

const atTheCap = "a running one is extended past the pace, never past the cap, on all windows or on none"

// fault is one way to break a gateway, and the promises that show it: these and no others.
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
		"it shows nothing of what readings teach", alter(func(_ *http.Request, a *httptest.ResponseRecorder) []byte {
			return regexp.MustCompile(`,"ratio":\{[^}]*\}`).ReplaceAll(a.Body.Bytes(), nil)
		}),
		[]string{"what tokens take of a window of percent is shown once three pairs of readings tell"},
		"the ratio is {PointsMicros:0 Readings:0 TokensMicros:0}",
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
		"it lets a worker run any model", changing(func(r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/api/fleet/claims" {
				rewrite(r, func(asked map[string]any) {
					if name := fmt.Sprint(asked["worker"]); strings.HasSuffix(name, "-ceiling-2") {
						asked["worker"] = strings.TrimSuffix(name, "2") + "1"
					}
				})
			}
		}),
		[]string{"a worker gets only work of the models up to its ceiling, and a ceiling that is no model is 400 invalid"},
		"was given work on",
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
