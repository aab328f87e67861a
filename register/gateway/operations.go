package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// operations carries out what the contract names: it hands each request to the register and its answer back.
type operations struct{ *Gateway }

// answered gives the register's answer the contract's type. Both have one JSON shape, which is also how events and kept answers
// are stored.
func answered[Answer any](from any, err error) (Answer, error) {
	var to Answer
	if err != nil {
		return to, err
	}
	body, err := json.Marshal(from)
	if err != nil {
		return to, fmt.Errorf("writing an answer: %w", err)
	}
	if err := json.Unmarshal(body, &to); err != nil {
		return to, fmt.Errorf("shaping an answer: %w", err)
	}
	return to, nil
}

// amounts takes over amounts, each unit once.
func amounts(field string, from []register.Amount) ([]fleet.Amount, error) {
	out := make([]fleet.Amount, 0, len(from))
	seen := make(map[register.Unit]bool)
	for _, amount := range from {
		if seen[amount.Unit] {
			return nil, twice(field, amount.Unit)
		}
		seen[amount.Unit] = true
		out = append(out, fleet.Amount{Unit: string(amount.Unit), Micros: amount.Micros})
	}
	return out, nil
}

func twice(field string, unit register.Unit) error {
	return &problem{
		Code: register.ProblemCodeInvalid, Field: field, Detail: fmt.Sprintf("%s names the unit %q twice.", field, unit),
		NextStep: "Give one amount a unit.",
	}
}

// given is an optional parameter's value, or nothing.
func given[Value any](optional *Value) Value {
	if optional == nil {
		var nothing Value
		return nothing
	}
	return *optional
}

// instants refuses what cannot be kept: JSON has no years beyond 9999, and no work waits for centuries.
func instants(given map[string]time.Time) error {
	for field, at := range given {
		if year := at.UTC().Year(); !at.IsZero() && (year < 1970 || year >= 2200) {
			return &problem{
				Code: register.ProblemCodeInvalid, Field: field, Example: "2026-11-30T09:00:00Z",
				Detail: fmt.Sprintf("%s is in the year %d; it must lie between 1970 and 2200.", field, year),
			}
		}
	}
	return nil
}

func origin(from register.Origin) json.RawMessage {
	if from == (register.Origin{}) {
		return nil
	}
	body, _ := json.Marshal(from) // it has only strings
	return body
}

func dispatchID(text string) fleet.DispatchID {
	id, _ := fleet.ParseDispatchID(text) // the contract's pattern holds
	return id
}

func proposalID(text string) fleet.ProposalID {
	id, _ := fleet.ParseProposalID(text) // the contract's pattern holds
	return id
}

func names[Name ~string](from []Name) []string {
	out := make([]string, len(from))
	for i, name := range from {
		out[i] = string(name)
	}
	return out
}

// Health says that the process lives.
func (o *operations) Health(context.Context, HealthRequestObject) (HealthResponseObject, error) {
	return Health200JSONResponse{Status: register.HealthStatusOk, Version: o.options.Version}, nil
}

// Ready says whether the gateway can answer, part by part.
func (o *operations) Ready(ctx context.Context, _ ReadyRequestObject) (ReadyResponseObject, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	health := register.Health{Status: register.HealthStatusOk, Version: o.options.Version, Parts: map[string]string{"database": "ok", "events": "ok", "audit": "ok"}}
	if err := o.store.Ping(ctx); err != nil {
		health.Status = register.HealthStatusUnavailable
		health.Parts["database"] = "The database does not answer."
		health.Parts["events"], health.Parts["audit"] = "Waiting for the database.", "Waiting for the database."
		return Ready503JSONResponse(health), nil
	}
	health.Parts["audit"] = o.sealing(ctx)
	return Ready200JSONResponse(health), nil
}

// sealLate is how long an entry may wait for its seal before the gateway says so. It answers all the same.
const sealLate = 10 * time.Second

func (o *operations) sealing(ctx context.Context) string {
	head, err := o.store.AuditHead(ctx)
	switch {
	case err != nil:
		return "The seals could not be read."
	case head.Waiting > sealLate:
		return fmt.Sprintf("The oldest of %d unsealed entries has waited %s for its seal.", head.Unsealed, head.Waiting.Truncate(time.Second))
	}
	return "ok"
}

// WhoAmI is the identity the call acts for.
func (o *operations) WhoAmI(ctx context.Context, _ WhoAmIRequestObject) (WhoAmIResponseObject, error) {
	return answered[WhoAmI200JSONResponse](callOf(ctx).actor, nil)
}
