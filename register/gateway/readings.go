package gateway

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// ListReadings reads a page of readings, newest first.
func (o *operations) ListReadings(ctx context.Context, request ListReadingsRequestObject) (ListReadingsResponseObject, error) {
	before, err := numbered(listReadings, request.Params.Cursor, parseNumber)
	if err != nil {
		return nil, err
	}
	page, err := o.store.Readings(ctx, given(request.Params.Provider), before, pageOf(request.Params.Limit))
	page.Next = cursor(listReadings, page.Next)
	return answered[ListReadings200JSONResponse](page, err)
}

func parseNumber(text string) (int64, error) { return strconv.ParseInt(text, 10, 64) }

// RecordReading keeps what a provider was read to say of a window.
func (o *operations) RecordReading(ctx context.Context, request RecordReadingRequestObject) (RecordReadingResponseObject, error) {
	body := request.Body
	if err := instants(map[string]time.Time{"reset_at": body.ResetAt, "taken_at": body.TakenAt}); err != nil {
		return nil, err
	}
	answer, err := o.store.RecordReading(ctx, mutation(ctx, http.StatusOK), fleet.ReadingReport{
		Provider: body.Provider, Subscription: body.Subscription, Window: body.Window, Unit: string(body.Unit),
		UsedMicros: body.UsedMicros, LimitMicros: body.LimitMicros, ResetAt: body.ResetAt, Every: time.Duration(body.EverySeconds) * time.Second,
		TakenAt: body.TakenAt, Source: string(body.Source), Confidence: body.Confidence, Reporter: body.Reporter, Redeemed: body.Redeemed,
	})
	return answered[RecordReading200JSONResponse](answer, err)
}

// ReportUsage takes in what agents were seen to use.
func (o *operations) ReportUsage(ctx context.Context, request ReportUsageRequestObject) (ReportUsageResponseObject, error) {
	body := request.Body
	report := fleet.UsageReport{Provider: body.Provider, Subscription: body.Subscription, Reporter: body.Reporter}
	for _, use := range body.Uses {
		if err := instants(map[string]time.Time{"uses.until": use.Until}); err != nil {
			return nil, err
		}
		taken := fleet.SeenUse{Model: use.Model, Amount: fleet.Amount{Unit: string(use.Unit), Micros: use.Micros}, Until: use.Until.UTC()}
		if use.Run != nil {
			taken.Run = &fleet.UsageRun{Dispatch: dispatchID(use.Run.Dispatch), Attempt: int32(use.Run.Attempt), Claim: use.Run.Claim}
		}
		report.Uses = append(report.Uses, taken)
	}
	answer, err := o.store.ReportUsage(ctx, mutation(ctx, http.StatusOK), report)
	return answered[ReportUsage200JSONResponse](answer, err)
}
