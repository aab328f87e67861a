package conformance

import (
	"context"
	"net/http"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func failures() []promise {
	return []promise{
		{"errors", "without a known token: 401 unauthorized", unauthorized},
		{"errors", "a stranger as actor: 403 actor_unknown", stranger},
		{"errors", "what the actor's roles do not allow: 403 forbidden", forbiddenRole},
		{"errors", "what the token's scope does not allow: 403 forbidden", forbiddenScope},
		{"errors", "what is not whole: 400 invalid", invalid},
		{"errors", "what is not there: 404 not_found", notFound},
		{"errors", "a method that does not go with the address: 405", wrongMethod},
	}
}

// mistake is a request that must fail.
type mistake struct {
	asking
	status int
	code   register.ProblemCode
}

func (t *trial) failing(ctx context.Context, mistakes []mistake) error {
	for _, m := range mistakes {
		got, err := t.ask(ctx, m.asking)
		if err != nil {
			return err
		}
		if err := got.is(m.status, m.code); err != nil {
			return seen("%s answered %w", oneLine(m.method+" "+m.path+" "+m.body), err)
		}
	}
	return nil
}

func attempt(actor, token string, m register.Mutation) asking {
	return asking{method: m.Method, path: m.Path, body: string(m.Body), actor: actor, token: token, key: key()}
}

func unauthorized(ctx context.Context, t *trial) error {
	var mistakes []mistake
	for _, token := range []string{noToken, "conformance-no-token"} {
		for _, a := range []asking{
			{method: http.MethodGet, path: "/api/fleet/whoami", token: token},
			{method: http.MethodGet, path: "/api/fleet/events", token: token},
			attempt("", token, register.CreateDispatch(t.work(t.role("stranger")))),
			attempt("", token, register.ClaimDispatch(register.ClaimRequest{Role: t.role("stranger"), Worker: t.role("stranger") + "-1"})),
		} {
			mistakes = append(mistakes, mistake{a, http.StatusUnauthorized, register.ProblemCodeUnauthorized})
		}
	}
	return t.failing(ctx, mistakes)
}

func stranger(ctx context.Context, t *trial) error {
	var mistakes []mistake
	for _, actor := range []string{"conformance-nobody-" + t.id, matrixID("nobody-" + t.id)} {
		for _, a := range []asking{
			{method: http.MethodGet, path: "/api/fleet/whoami", actor: actor},
			attempt(actor, "", register.CreateDispatch(t.work(t.role("stranger")))),
		} {
			mistakes = append(mistakes, mistake{a, http.StatusForbidden, register.ProblemCodeActorUnknown})
		}
	}
	return t.failing(ctx, mistakes)
}

func forbiddenRole(ctx context.Context, t *trial) error {
	seat := register.PutSeat("conformance-forbidden", register.SeatRequest{Lens: "none", Identity: viewer})
	claim := register.ClaimDispatch(register.ClaimRequest{Role: t.role("forbidden"), Worker: t.role("forbidden") + "-1"})
	var mistakes []mistake
	for _, a := range []asking{
		attempt(viewer, "", register.CreateDispatch(t.work(t.role("forbidden")))),
		attempt(viewer, "", register.SetBudget(window(time.Now().Add(time.Hour)))),
		attempt(viewer, "", register.OpenProposal(register.ProposalRequest{Title: "Conformance run " + t.id})),
		attempt(viewer, "", claim),
		attempt(operator, "", claim),
		attempt(operator, "", seat),
		attempt(worker, "", register.CreateDispatch(t.work(t.role("forbidden")))),
	} {
		mistakes = append(mistakes, mistake{a, http.StatusForbidden, register.ProblemCodeForbidden})
	}
	return t.failing(ctx, mistakes)
}

func forbiddenScope(ctx context.Context, t *trial) error {
	var mistakes []mistake
	for _, token := range []string{t.options.ReadToken, t.options.WorkerToken} {
		if token == "" {
			continue
		}
		mistakes = append(mistakes,
			mistake{attempt("", token, register.CreateDispatch(t.work(t.role("scope")))), http.StatusForbidden, register.ProblemCodeForbidden},
			mistake{asking{method: http.MethodGet, path: "/api/fleet/whoami", token: token, actor: viewer}, http.StatusForbidden, register.ProblemCodeForbidden})
	}
	if len(mistakes) == 0 {
		return notTried("it takes --read-token or --worker-token, which the contract cannot make")
	}
	return t.failing(ctx, mistakes)
}

func invalid(ctx context.Context, t *trial) error {
	const dispatches, budgets = "/api/fleet/dispatches", "/api/fleet/budgets"
	var mistakes []mistake
	for _, wrong := range [][3]string{
		{"POST", dispatches, `{"role": "coder", `},
		{"POST", dispatches, `[]`},
		{"POST", dispatches, ``},
		{"POST", dispatches, `{"role": "conformance"}`},
		{"POST", dispatches, `{"role": "conformance", "brief": ""}`},
		{"POST", dispatches, `{"role": "con formance", "brief": "x"}`},
		{"POST", dispatches, `{"role": "conformance", "brief": 7}`},
		{"POST", dispatches, `{"role": "conformance", "brief": "x", "brief_class": "urgent"}`},
		{"POST", dispatches, `{"role": "conformance", "brief": "x", "priority": 10}`},
		{"POST", dispatches, `{"role": "conformance", "brief": "x", "estimate": [{"micros": -1}]}`},
		{"POST", dispatches, `{"role": "conformance", "brief": "x", "deadline": "friday"}`},
		{"POST", dispatches, `{"role": "conformance", "brief": "` + strings.Repeat("x", 65_537) + `"}`},
		{"POST", budgets, `{"provider": "conformance", "unit": "coins", "limit_micros": 5, "reset_at": "2099-01-01T00:00:00Z"}`},
		{"POST", budgets, `{"provider": "conformance", "unit": "messages", "limit_micros": 1.5, "reset_at": "2099-01-01T00:00:00Z"}`},
		{"GET", dispatches + "?limit=0", ``},
		{"GET", dispatches + "?limit=many", ``},
		{"GET", dispatches + "?state=lost", ``},
	} {
		a := asking{method: wrong[0], path: wrong[1], body: wrong[2], actor: operator, key: key()}
		mistakes = append(mistakes, mistake{a, http.StatusBadRequest, register.ProblemCodeInvalid})
	}
	return t.failing(ctx, mistakes)
}

func notFound(ctx context.Context, t *trial) error {
	const never = "999999999999999999"
	var mistakes []mistake
	for _, a := range []asking{
		{method: http.MethodGet, path: "/api/fleet/dispatches/D-" + never},
		{method: http.MethodGet, path: "/api/fleet/proposals/P-" + never},
		{method: http.MethodGet, path: "/api/fleet/conformance-has-no-such-address"},
		attempt(operator, "", register.CancelDispatch("D-"+never, "")),
		attempt(worker, "", register.HeartbeatDispatch("D-"+never, register.HeartbeatRequest{Claim: "none"})),
		attempt(operator, "", register.CastVote("P-"+never, "none", register.VoteRequest{Verdict: register.VerdictApprove})),
	} {
		mistakes = append(mistakes, mistake{a, http.StatusNotFound, register.ProblemCodeNotFound})
	}
	return t.failing(ctx, mistakes)
}

func wrongMethod(ctx context.Context, t *trial) error {
	return t.failing(ctx, []mistake{
		{asking{method: http.MethodDelete, path: "/api/fleet/dispatches", key: key()}, http.StatusMethodNotAllowed, register.ProblemCodeInvalid},
		{asking{method: http.MethodPut, path: "/api/fleet/budgets", body: "{}", key: key()}, http.StatusMethodNotAllowed, register.ProblemCodeInvalid},
	})
}
