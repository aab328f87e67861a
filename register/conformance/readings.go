package conformance

import (
	"context"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func readings() []promise {
	return []promise{
		{"readings", "a reading is kept, corrects its window and is listed first", believeReading},
		{"readings", "what hardly can be changes nothing until a second reading agrees", doubtReading},
		{"readings", "a reading in another unit is refused", refuseReading},
		{"readings", "use that no run explains is charged once, whole", chargeUse},
	}
}

// emptied begins an epoch in which nothing was read yet.
func (t *trial) emptied(ctx context.Context) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	_, err := t.resetWindow(ctx, time.Now().Add(2*time.Hour).UTC().Truncate(time.Second), true)
	return err
}

func (t *trial) readUsed(ctx context.Context, micros int64) (register.ReadingAnswer, error) {
	var answer register.ReadingAnswer
	err := t.change(ctx, operator, register.RecordReading(register.ReadingRequest{Provider: provider, UsedMicros: micros}), &answer)
	return answer, err
}

func believeReading(ctx context.Context, t *trial) error {
	if err := t.emptied(ctx); err != nil {
		return err
	}
	answer, err := t.readUsed(ctx, 12_000_000)
	if err != nil {
		return err
	}
	reading := answer.Reading
	if reading.Verdict != register.ReadingVerdictBelieved || reading.BookedMicros != 12_000_000 || reading.Unit != register.UnitMessages ||
		reading.Cause == "" || answer.After.CommittedMicros != 12_000_000 || answer.After.Source != register.WindowSourceProviderDetected {
		return seen("12 messages read of an unused window answer %+v", answer)
	}
	listed, _, err := t.windows(ctx)
	if err != nil {
		return err
	}
	if listed.CommittedMicros != 12_000_000 || listed.UnattributedMicros != 12_000_000 {
		return seen("it is listed as %+v", listed)
	}
	var page register.ReadingList
	if err := t.read(ctx, viewer, "/api/fleet/readings?limit=1&provider="+provider, &page); err != nil {
		return err
	}
	if len(page.Readings) != 1 || page.Readings[0].ID != reading.ID {
		return seen("the newest reading is listed as %+v, not %+v", page.Readings, reading)
	}
	return nil
}

func doubtReading(ctx context.Context, t *trial) error {
	if err := t.emptied(ctx); err != nil {
		return err
	}
	if _, err := t.readUsed(ctx, 12_000_000); err != nil {
		return err
	}
	for _, step := range []struct {
		micros, committed int64
		verdict           register.ReadingVerdict
	}{
		{90_000_000, 12_000_000, register.ReadingVerdictDoubted},
		{13_000_000, 13_000_000, register.ReadingVerdictBelieved},
		{90_000_000, 13_000_000, register.ReadingVerdictDoubted},
		{91_000_000, 91_000_000, register.ReadingVerdictBelieved},
	} {
		answer, err := t.readUsed(ctx, step.micros)
		if err != nil {
			return err
		}
		window, _, err := t.windows(ctx)
		if err != nil {
			return err
		}
		if answer.Reading.Verdict != step.verdict || window.CommittedMicros != step.committed {
			return seen("a reading of %d answers %+v and leaves %d committed, not %s and %d", step.micros, answer.Reading, window.CommittedMicros, step.verdict, step.committed)
		}
	}
	return nil
}

func refuseReading(ctx context.Context, t *trial) error {
	if _, _, err := t.fresh(ctx); err != nil {
		return err
	}
	return t.refused(ctx, register.ProblemCodeUnitMismatch, operator, register.RecordReading(register.ReadingRequest{Provider: provider, Unit: register.UnitTokens, UsedMicros: 1}))
}

func chargeUse(ctx context.Context, t *trial) error {
	if err := t.emptied(ctx); err != nil {
		return err
	}
	report := register.ReportUsage(register.UsageRequest{Provider: provider, Reporter: "conformance", Uses: []register.Use{
		{Unit: register.UnitMessages, Micros: 3_000_000, Until: time.Now().Add(time.Minute)},
		{Unit: register.UnitTokens, Micros: 5_000_000, Until: time.Now().Add(time.Minute)},
	}})
	var answer register.UsageAnswer
	if err := t.change(ctx, operator, report, &answer); err != nil {
		return err
	}
	window, _, err := t.windows(ctx)
	if err != nil {
		return err
	}
	if window.CommittedMicros != 3_000_000 || len(answer.Booked) != 2 || answer.Booked[0].Kind != register.BookingKindUnattributed {
		return seen("3 messages and 5 tokens of no run answer %+v and leave %d committed", answer, window.CommittedMicros)
	}
	return nil
}
