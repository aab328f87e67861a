// Package conformance tests whether a gateway keeps the contract, register/openapi.yaml. It stands outside the gateway and
// talks to it over HTTP like everyone else, so that it can judge any gateway. It must not be run against a fleet in use.
package conformance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// Options say which gateway is tried, and with what.
type Options struct {
	// URL is the gateway's base, such as http://127.0.0.1:14242.
	URL string
	// Token has the scope admin and belongs to an identity with the role admin.
	Token string
	// WorkerToken has only the scope worker, and ReadToken only the scope read. What only they can show is not tried
	// without them.
	WorkerToken, ReadToken string
	// RateProbe is how many requests to send at once, with a token of its own, to meet the gateway's rate limit; 0 does not try.
	RateProbe int
	// Only are the areas to try; none is all of them.
	Only []string
}

// The names that a run uses, and nobody else may.
const (
	provider = "conformance"
	operator = "conformance-operator"
	worker   = "conformance-worker"
	viewer   = "conformance-viewer"
	member   = "conformance-board"
)

// promiseLimit bounds how long one promise is tried; a slow gateway is not a broken one.
const promiseLimit = 2 * time.Minute

// trial is one run against one gateway.
type trial struct {
	options  Options
	id       string // tells this run's roles, briefs and keys from those of any other
	base     string
	wire     *http.Client
	api      *register.API
	contract *contract
	shapes   *shapes
	heard    *listener
	deaf     error // why nothing is heard
	manning  sync.Mutex
	manned   map[string]bool // the roles that have a worker
}

// Run tries every promise of the contract. An error means that the gateway could not be tried at all.
func Run(ctx context.Context, options Options) (*Report, error) {
	if err := known(options.Only); err != nil {
		return nil, err
	}
	contract, err := readContract()
	if err != nil {
		return nil, err
	}
	t := &trial{
		options: options, id: strings.ToLower(rand.Text()[:6]), base: strings.TrimRight(options.URL, "/"),
		wire: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}, api: register.NewAPI(options.URL, options.Token),
		contract: contract, shapes: newShapes(), manned: make(map[string]bool),
	}
	defer t.wire.CloseIdleConnections()
	if _, err := t.api.Ready(ctx); err != nil && register.CodeOf(err) == register.ProblemCodeUnavailable {
		return nil, fmt.Errorf("asking the gateway at %s whether it is ready: %w", t.base, err)
	}
	t.heard, t.deaf = t.listen(ctx, "")
	if t.heard != nil {
		defer t.heard.close()
	}
	report := t.keepAll(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	report.Results = append(report.Results, t.shapeResults()...)
	return report, nil
}

// keepAll tries the promises in their order. Without its identities a run can try nothing more.
func (t *trial) keepAll(ctx context.Context) *Report {
	report := &Report{Gateway: t.base}
	defer func() { report.Left = t.leave(context.WithoutCancel(ctx)) }()
	chosen := chosen(t.options.Only)
	for i, promise := range chosen {
		result := t.keep(ctx, promise)
		report.Results = append(report.Results, result)
		if i == 0 && !result.Kept() {
			for _, rest := range chosen[1:] {
				report.Results = append(report.Results, Result{Area: rest.area, Promise: rest.text, NotTried: "the identities it needs are missing"})
			}
			break
		}
	}
	return report
}

func (t *trial) keep(ctx context.Context, promise promise) Result {
	ctx, cancel := context.WithTimeout(ctx, promiseLimit)
	defer cancel()
	result := Result{Area: promise.area, Promise: promise.text}
	err := promise.keep(ctx, t)
	var untried notTried
	switch {
	case errors.As(err, &untried):
		result.NotTried = string(untried)
	case err != nil:
		result.Seen = err.Error()
	}
	return result
}

// role is a role of this run alone.
func (t *trial) role(part string) string { return provider + "-" + t.id + "-" + part }

func (t *trial) brief() string { return "Conformance run " + t.id + ": there is nothing to do." }

func key() string { return "conformance-" + rand.Text() }

// leave takes back what can be taken back: open work, the window and what the identities may do. It answers what it could not.
func (t *trial) leave(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, promiseLimit)
	defer cancel()
	var left []string
	note := func(what string, err error) {
		if err != nil {
			left = append(left, fmt.Sprintf("%s: %v", what, err))
		}
	}
	open, err := t.api.Dispatches(ctx, register.By{}, "", 200, register.DispatchStateQueued, register.DispatchStateReady, register.DispatchStateRunning)
	note("the open dispatches could not be listed", err)
	for _, dispatch := range open.Dispatches {
		if strings.HasPrefix(dispatch.Role, t.role("")) {
			note(dispatch.ID+" was not cancelled", t.change(ctx, "", register.CancelDispatch(dispatch.ID, "The conformance run is over."), nil))
		}
	}
	note("the agents could not be listed", t.retireAll(ctx, func(name string) {
		note(name+" was not retired", t.change(ctx, "", register.RetireAgent(name), nil))
	}))
	note("the window of "+provider+" stays", t.change(ctx, "", register.SetBudget(window(time.Now().Add(3*time.Second))), nil))
	for _, name := range []string{operator, worker, viewer, member} {
		identity := register.IdentityRequest{Kind: register.IdentityRequestKindService, Roles: []register.FleetRole{}}
		note(name+" keeps its roles", t.change(ctx, "", register.PutIdentity(name, identity), nil))
	}
	return left
}
