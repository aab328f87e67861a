package gateway

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// patience is how long what runs behind the requests may lag before the gateway calls itself not ready.
type patience struct{ numbering, sweep time.Duration }

var usualPatience = patience{numbering: 5 * time.Second, sweep: 30 * time.Second}

// sealLate is how long an entry may wait for its seal before the gateway says so. It answers all the same.
const sealLate = 10 * time.Second

const fine = "ok"

// Health says that the process lives.
func (o *operations) Health(context.Context, HealthRequestObject) (HealthResponseObject, error) {
	return Health200JSONResponse{Status: register.HealthStatusOk, Version: o.options.Version}, nil
}

// Ready says whether the gateway can answer, part by part.
func (o *operations) Ready(ctx context.Context, _ ReadyRequestObject) (ReadyResponseObject, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	health := register.Health{Status: register.HealthStatusOk, Version: o.options.Version, Parts: o.parts(ctx)}
	for _, part := range []string{"database", "schema", "events", "sweep"} {
		if health.Parts[part] != fine {
			health.Status = register.HealthStatusUnavailable
			return Ready503JSONResponse(health), nil
		}
	}
	return Ready200JSONResponse(health), nil
}

// parts is each part of the gateway, and what is wrong with it.
func (o *operations) parts(ctx context.Context) map[string]string {
	if err := o.store.Ping(ctx); err != nil {
		const waiting = "Waiting for the database."
		return map[string]string{
			"database": "The database does not answer.", "schema": waiting, "events": waiting, "sweep": waiting, "audit": waiting,
		}
	}
	return map[string]string{
		"database": fine, "schema": o.schema(ctx), "events": o.numbering(ctx), "sweep": o.sweeping(), "audit": o.sealing(ctx),
	}
}

func (o *operations) schema(ctx context.Context) string {
	schema, err := o.store.Schema(ctx)
	switch {
	case err != nil:
		return "The version of the schema could not be read."
	case schema.Database > schema.Program:
		return fmt.Sprintf("The schema is at version %d, newer than this program, which knows %d: start the newer program.", schema.Database, schema.Program)
	case schema.Database < schema.Program:
		return fmt.Sprintf("The schema is at version %d, older than this program, which needs %d: restart it to migrate.", schema.Database, schema.Program)
	}
	return fine
}

func (o *operations) numbering(ctx context.Context) string {
	behind, err := o.store.Unnumbered(ctx)
	switch {
	case err != nil:
		return "The event log could not be read."
	case behind.Oldest > o.patience.numbering:
		return fmt.Sprintf("The oldest of %d events has waited %s for its number, so readers are not told.", behind.Events, behind.Oldest.Truncate(time.Second))
	}
	return fine
}

func (o *operations) sweeping() string {
	if since := o.options.Now().Sub(time.Unix(0, o.swept.Load())); since > o.patience.sweep {
		return fmt.Sprintf("The sweep for lost claims and due proposals has not succeeded for %s; the log says why.", since.Truncate(time.Second))
	}
	return fine
}

func (o *operations) sealing(ctx context.Context) string {
	head, err := o.store.AuditHead(ctx)
	switch {
	case err != nil:
		return "The seals could not be read."
	case head.Waiting > sealLate:
		return fmt.Sprintf("The oldest of %d unsealed entries has waited %s for its seal.", head.Unsealed, head.Waiting.Truncate(time.Second))
	}
	return fine
}
