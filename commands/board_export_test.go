package commands

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// votedOn is a proposal with a vote of every kind.
func votedOn() register.Proposal {
	sure := 0.8
	return proposal(func(p *register.Proposal) {
		p.State, p.ClosedAt, p.Outcome = register.ProposalStatePassed, monday.Add(time.Hour), register.Outcome{CarriedOut: true, Text: "D-5 is ready."}
		p.Roster = append(p.Roster, register.Seat{Seat: "coo", Lens: "timeline", Identity: "dan"}, register.Seat{Seat: "technical", Identity: "carl", Recused: "carl asked for D-5"})
		p.Roster[1].Lens = "feasibility"
		p.Votes = []register.Vote{
			{Seat: "ceo", Actor: "ada", Verdict: register.VerdictApprove, Reason: "go", How: register.VoteHowReaction, EventID: "$1", CastAt: monday},
			{
				Seat: "cto", Actor: "critic-1", Verdict: register.VerdictReject, Reason: "load", Persona: "CTO", Confidence: &sure, Concerns: []string{"load"},
				Recommendations: []string{"test first"}, KeyRisks: []string{"time"}, How: register.VoteHowToken, CastAt: monday,
			},
			{Seat: "cfo", Actor: "cleo", Verdict: register.VerdictConditional, Reason: "after the freeze", Accepted: true, How: register.VoteHowSigned, EventID: "$2", CastAt: monday},
			{Seat: "coo", Actor: "dan", Verdict: register.VerdictAbstain, How: register.VoteHowReaction, EventID: "$3", CastAt: monday},
		}
		p.Tally = register.Tally{Approve: 2, Reject: 1, Abstain: 1, Seats: 4, Needed: 2}
	})
}

func TestASeatsReviewIsExportedInTheSixFieldsOfForgesBoard(t *testing.T) {
	t.Parallel()
	for seat, want := range map[string]string{
		"cto": `{
  "persona": "CTO",
  "verdict": "reject",
  "confidence": 0.8,
  "concerns": [
    "load"
  ],
  "recommendations": [
    "test first"
  ],
  "key_risks": [
    "time"
  ]
}`,
		"cfo": `{
  "persona": "CFO",
  "verdict": "conditional",
  "confidence": 1,
  "concerns": [
    "after the freeze"
  ],
  "recommendations": [],
  "key_risks": []
}`,
	} {
		review, err := reviewBy(votedOn(), seat)
		require.NoError(t, err)
		require.Equal(t, want, JSON(Reply{Data: review}))
	}
	loud := votedOn()
	loud.Votes[1].Seat = "CTO"
	review, err := reviewBy(loud, "cto")
	require.NoError(t, err, "a seat may be written in capitals")
	require.Equal(t, "CTO", review.Persona)
	_, err = reviewBy(votedOn(), "coo")
	require.ErrorContains(t, err, "The seat coo has no review on P-7; there is one of ceo, cto and cfo.")
}

func TestAProposalIsExportedWholeWithItsReviewsInForgesShape(t *testing.T) {
	t.Parallel()
	require.Equal(t, `{
  "task_id": "P-7",
  "title": "Run the release audit now",
  "state": "passed",
  "verdict": "approve",
  "reviews": [
    {
      "persona": "CEO",
      "verdict": "approve",
      "confidence": 1,
      "concerns": [],
      "recommendations": [],
      "key_risks": []
    },
    {
      "persona": "CTO",
      "verdict": "reject",
      "confidence": 0.8,
      "concerns": [
        "load"
      ],
      "recommendations": [
        "test first"
      ],
      "key_risks": [
        "time"
      ]
    },
    {
      "persona": "CFO",
      "verdict": "conditional",
      "confidence": 1,
      "concerns": [
        "after the freeze"
      ],
      "recommendations": [],
      "key_risks": []
    }
  ],
  "votes": [
    {
      "seat": "ceo",
      "persona": "CEO",
      "actor": "ada",
      "verdict": "approve",
      "accepted": false,
      "reason": "go",
      "confidence_said": false,
      "how": "reaction",
      "event_id": "$1",
      "cast_at": "2026-11-23T09:00:00Z"
    },
    {
      "seat": "cto",
      "lens": "feasibility",
      "persona": "CTO",
      "actor": "critic-1",
      "verdict": "reject",
      "accepted": false,
      "reason": "load",
      "confidence_said": true,
      "how": "token",
      "cast_at": "2026-11-23T09:00:00Z"
    },
    {
      "seat": "cfo",
      "persona": "CFO",
      "actor": "cleo",
      "verdict": "conditional",
      "accepted": true,
      "reason": "after the freeze",
      "confidence_said": false,
      "how": "signed",
      "event_id": "$2",
      "cast_at": "2026-11-23T09:00:00Z"
    },
    {
      "seat": "coo",
      "lens": "timeline",
      "persona": "COO",
      "actor": "dan",
      "verdict": "abstain",
      "accepted": false,
      "confidence_said": false,
      "how": "reaction",
      "event_id": "$3",
      "cast_at": "2026-11-23T09:00:00Z"
    }
  ],
  "dissents": [
    "cto: load"
  ],
  "conditions": [
    "cfo: after the freeze"
  ],
  "missing": [],
  "recused": [
    "technical: carl asked for D-5"
  ],
  "action": "Lift the pace for D-5, which was refused: Cannot start by 2026-11-23 09:05:00 UTC. The cap still holds.",
  "carried_out": true,
  "outcome": "D-5 is ready.",
  "opened_by": "olga",
  "opened_at": "2026-11-23T09:00:00Z",
  "closed_at": "2026-11-23T10:00:00Z"
}`, JSON(Reply{Data: boardResult(votedOn())}))
}

func TestAnExportIsAFileInARoomAndPrintedOnATerminal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.answered(t, "olga", `board propose "Move the fleet"`, MoodDone, "P-1 is open")
	b.answered(t, "ben", `vote P-1 reject "not now"`, MoodDone)
	whole := b.answered(t, "olga", "board export P-1", MoodDone, "P-1.board.json", "P-1 open: Move the fleet")
	require.Equal(t, "P-1.board.json", whole.File.Name)
	require.JSONEq(t, JSON(whole), whole.File.Text)
	one := b.answered(t, "olga", "board export P-1 CTO", MoodDone, "P-1-cto.board.json")
	require.JSONEq(t, `{"persona": "CTO", "verdict": "reject", "confidence": 1, "concerns": ["not now"], "recommendations": [], "key_risks": []}`, one.File.Text)
	b.answered(t, "olga", "board export P-1 ceo", MoodRefused, "The seat ceo has no review on P-1; there is one of cto.", "Example: !mosaic board export P-1 cto")
}
