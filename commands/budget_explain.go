package commands

import (
	"context"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func budgetExplainCommand() *command {
	return &command{
		name:     "budget explain",
		aliases:  []string{"explain"},
		summary:  "Why a dispatch was decided as it was: each model and subscription that was tried.",
		examples: []string{"budget explain D-12"},
		grammar:  func() grammar { return new(dispatchArgument) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			d, err := s.dispatchOf(ctx, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: d, Mood: MoodDone, Markdown: explainText(d, s.now(), s.zone)}, nil
		},
	}
}

func explainText(d register.Dispatch, now time.Time, zone *time.Location) string {
	head := paragraph("**"+d.ID+" "+decided(d, "")+"**", because(d, zone))
	if d.Lifted {
		head = paragraph(head, "An override has lifted its pace.")
	}
	if len(d.Attempts) == 0 {
		return paragraph(head, "Nothing was tried.")
	}
	items := make([]string, len(d.Attempts))
	for i, attempt := range d.Attempts {
		items[i] = attemptLine(attempt, now, zone)
	}
	if table := explainTable(d, d.CreatedAt); table != "" {
		head += "\n" + table
	}
	return paragraph(bullets(head, items...), wayOutBelow(d))
}

// wayOutBelow stands after a list, so it begins a paragraph of its own.
func wayOutBelow(d register.Dispatch) string {
	if text := wayOut(d); text != "" && paced(d) {
		return "\n" + text
	}
	return ""
}

func attemptLine(attempt register.RoutingAttempt, now time.Time, zone *time.Location) string {
	sign := "✗"
	if attempt.Verdict == register.RoutingAttemptVerdictAdmitted {
		sign = "✓"
	}
	text := sign + " **" + escape(attempt.Model) + "** on " + windowName(attempt.Provider, attempt.Subscription, "") + ": " + verdictWords(attempt.Verdict)
	if attempt.Reason != "" {
		text += ". " + explained(attempt.Reason, now, zone)
	}
	switch attempt.Verdict {
	case register.RoutingAttemptVerdictAdmitted, register.RoutingAttemptVerdictPassedOver, register.RoutingAttemptVerdictOverPace:
		return text // the reason of over-pace tells its start
	}
	if !attempt.EarliestStart.IsZero() {
		text += " Earliest start " + ahead(attempt.EarliestStart, now, zone) + "."
	}
	return text
}

func verdictWords(verdict register.RoutingAttemptVerdict) string {
	switch verdict {
	case register.RoutingAttemptVerdictAdmitted:
		return "admitted"
	case register.RoutingAttemptVerdictOverPace:
		return "over pace"
	case register.RoutingAttemptVerdictOverCap:
		return "over the cap"
	case register.RoutingAttemptVerdictSavesNothing:
		return "saves nothing"
	case register.RoutingAttemptVerdictNotAllowed:
		return "not allowed"
	case register.RoutingAttemptVerdictNoSubscription:
		return "no subscription"
	case register.RoutingAttemptVerdictUnitMismatch:
		return "another unit"
	case register.RoutingAttemptVerdictLapsed:
		return "lapsed"
	case register.RoutingAttemptVerdictNoWorker:
		return "no worker"
	case register.RoutingAttemptVerdictLineAhead:
		return "behind the line"
	case register.RoutingAttemptVerdictPassedOver:
		return "passed over"
	case register.RoutingAttemptVerdictOverBurst:
		return "too much at once"
	case register.RoutingAttemptVerdictUnknownMeter:
		return "meter unknown"
	}
	return escape(string(verdict))
}
