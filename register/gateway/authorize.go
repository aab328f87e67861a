package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// rule says which tokens and which identities may do an operation. Everyone the register knows may read.
type rule struct {
	scopes []string
	roles  []string // none: the register decides by other means
	verb   string
	// asItself lists scopes that stand for a role where a token acts for nobody but its own identity.
	asItself []string
}

var (
	operating = []string{"operate", "bot", "admin"}
	working   = []string{"worker", "admin"}
	metering  = []string{"operate", "bot", "worker", "admin"}
)

// rules lists every operation that changes something, and the reading that is not for everyone.
var rules = map[string]rule{
	"createDispatch": {scopes: operating, roles: []string{"operator", "admin"}, verb: "dispatch work"},
	"cancelDispatch": {scopes: operating, roles: []string{"operator", "admin"}, verb: "cancel work"},
	"retryDispatch":  {scopes: operating, roles: []string{"operator", "admin"}, verb: "retry work"},
	"setBudget":      {scopes: operating, roles: []string{"operator", "admin"}, verb: "set budgets"},
	"resetBudget":    {scopes: operating, roles: []string{"operator", "admin"}, verb: "reset budgets"},
	// Collectors stand where the work is done, and people read what a provider shows them.
	"recordReading":    {scopes: metering, roles: []string{"operator", "admin", "worker"}, verb: "record readings"},
	"reportUsage":      {scopes: metering, roles: []string{"operator", "admin", "worker"}, verb: "report use"},
	"putLadder":        {scopes: operating, roles: []string{"admin"}, verb: "change the ladder"},
	"openProposal":     {scopes: operating, roles: []string{"operator", "board", "admin"}, verb: "open proposals"},
	"castVote":         {scopes: operating, verb: "vote"},
	"withdrawVote":     {scopes: operating, verb: "withdraw votes"},
	"putSeat":          {scopes: operating, roles: []string{"admin"}, verb: "seat the board"},
	"setPause":         {scopes: operating, roles: []string{"operator", "admin"}, verb: "pause or resume the fleet"},
	"ackRings":         {scopes: operating, roles: []string{"operator", "admin"}, verb: "acknowledge rings"},
	"setRoomVerbosity": {scopes: operating, roles: []string{"operator", "admin"}, verb: "say how much a room is told"},
	"grantOverride":    {scopes: operating, roles: []string{"admin"}, verb: "grant overrides"},
	"setPolicy":        {scopes: operating, roles: []string{"admin"}, verb: "change the policy"},
	"revokeOverride":   {scopes: operating, roles: []string{"admin"}, verb: "revoke overrides"},
	"removeSeat":       {scopes: operating, roles: []string{"admin"}, verb: "seat the board"},
	"putBoard":         {scopes: operating, roles: []string{"admin"}, verb: "change how the board works"},
	// The register knows who proposed it and who its chair is.
	"acceptConditions": {scopes: operating, verb: "accept conditions"},
	"closeProposal":    {scopes: operating, verb: "close proposals"},
	"withdrawProposal": {scopes: operating, verb: "withdraw proposals"},
	"readRoom":         {scopes: []string{"bot", "admin"}, verb: "report on rooms"},
	// A bot makes the rooms it then speaks in.
	"bindRoom":          {scopes: operating, roles: []string{"admin"}, verb: "bind rooms", asItself: []string{"bot"}},
	"putIdentity":       {scopes: operating, roles: []string{"admin"}, verb: "change identities"},
	"setRoomEncryption": {scopes: operating, roles: []string{"admin"}, verb: "say whether a room must be encrypted", asItself: []string{"bot"}},
	"changeIdentity":    {scopes: operating, roles: []string{"admin"}, verb: "change identities"},
	// A bot sees the keys of people; what it reports gives nobody anything.
	"reportReset": {scopes: []string{"bot", "admin"}, roles: []string{"admin"}, verb: "report that keys were reset", asItself: []string{"bot"}},
	// A bot cannot act for an admin here: whoever took over an account could ask it to.
	"trustReset":        {scopes: []string{"admin"}, roles: []string{"admin"}, verb: "accept the keys of an identity"},
	"claimDispatch":     {scopes: working, roles: []string{"worker", "admin"}, verb: "claim work"},
	"heartbeatDispatch": {scopes: working, roles: []string{"worker", "admin"}, verb: "report on work"},
	"extendDispatch":    {scopes: working, roles: []string{"worker", "admin"}, verb: "extend what work holds"},
	"completeDispatch":  {scopes: working, roles: []string{"worker", "admin"}, verb: "complete work"},
	"declareAgent":      {scopes: working, roles: []string{"worker", "admin"}, verb: "declare agents"},
	"retireAgent":       {scopes: operating, roles: []string{"admin"}, verb: "retire agents"},
	// A bot cannot act for an admin here: a secret does not belong into a chat.
	"listTokens":  {scopes: []string{"admin"}, roles: []string{"admin"}, verb: "list tokens"},
	"issueToken":  {scopes: []string{"admin"}, roles: []string{"admin"}, verb: "issue tokens"},
	"revokeToken": {scopes: []string{"admin"}, roles: []string{"admin"}, verb: "revoke tokens"},
	"rotateToken": {scopes: []string{"admin"}, roles: []string{"admin"}, verb: "rotate tokens"},
}

// call is who asks for what in one request.
type call struct {
	caller fleet.Caller
	actor  fleet.Identity
	key    string
	hash   []byte
	match  string // If-Match
}

type callKey struct{}

func callOf(ctx context.Context) call {
	c, _ := ctx.Value(callKey{}).(call)
	return c
}

// authenticate finds out who asks and on whose behalf.
func (g *Gateway) authenticate(r *http.Request) (call, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return call{}, &problem{
			Code: register.ProblemCodeUnauthorized, Field: "Authorization", Detail: "This request has no bearer token.",
			Example: "Authorization: Bearer mosaic_…", NextStep: "Issue a token with: mosaic-matrix token",
		}
	}
	caller, err := g.store.Caller(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return call{}, err
	}
	c := call{caller: caller, actor: caller.Identity}
	name := r.Header.Get("Mosaic-Actor")
	if name == "" || name == caller.Identity.Name {
		return c, nil
	}
	if !caller.May("bot", "admin") {
		return call{}, &problem{
			Code: register.ProblemCodeForbidden, Field: "Mosaic-Actor",
			Detail:   fmt.Sprintf("The token of %s may not act for others.", caller.Identity.Name),
			NextStep: "Leave Mosaic-Actor out, or use a token with the scope bot or admin.",
		}
	}
	c.actor, err = g.store.Identity(r.Context(), name)
	return c, err
}

// authorize refuses what the token or the actor may not do.
func authorize(c call, operation string) error {
	rule, ruled := rules[operation]
	if !ruled {
		return nil
	}
	if !c.caller.May(rule.scopes...) {
		return &problem{
			Code:     register.ProblemCodeForbidden,
			Detail:   fmt.Sprintf("The token of %s lacks the scope to %s.", c.caller.Identity.Name, rule.verb),
			NextStep: fmt.Sprintf("Use a token with one of the scopes %s.", strings.Join(rule.scopes, ", ")),
		}
	}
	itself := c.actor.Name == c.caller.Identity.Name && c.caller.May(rule.asItself...)
	if rule.roles != nil && !itself && !c.actor.Has(rule.roles...) {
		return &problem{
			Code:     register.ProblemCodeForbidden,
			Detail:   fmt.Sprintf("%s may not %s; that takes the role %s.", c.actor.Name, rule.verb, strings.Join(rule.roles, " or ")),
			NextStep: "Ask an admin for the role, or someone who has it.",
		}
	}
	return nil
}

// note adds who asked to the request's log.
func (c call) note(ctx context.Context) {
	zerolog.Ctx(ctx).UpdateContext(func(log zerolog.Context) zerolog.Context {
		return log.Str("caller", c.caller.Identity.Name).Str("actor", c.actor.Name)
	})
}

// mutation is the change a request asks for, made once per key.
func mutation(ctx context.Context, status int) fleet.Mutation {
	c := callOf(ctx)
	return fleet.Mutation{Actor: c.actor.Name, Caller: c.caller.Identity.Name, Key: c.key, Hash: c.hash, Status: status, IfMatch: c.match}
}
