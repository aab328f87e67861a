package commands

import (
	"context"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// BoardReview is one seat's verdict in the fields of forge's board reviews. A reaction expresses no confidence, so that is null then.
type BoardReview struct {
	Persona         string           `json:"persona"`
	Verdict         register.Verdict `json:"verdict"`
	Confidence      *float64         `json:"confidence"`
	Concerns        []string         `json:"concerns"`
	Recommendations []string         `json:"recommendations"`
	KeyRisks        []string         `json:"key_risks"`

	Seat    string           `json:"seat"`
	Lens    string           `json:"lens,omitempty"`
	Actor   string           `json:"actor"`
	Reason  string           `json:"reason,omitempty"`
	How     register.VoteHow `json:"how"`
	EventID string           `json:"event_id,omitempty"`
	CastAt  time.Time        `json:"cast_at"`
}

// BoardResult is a proposal in the shape of forge's <task>.board.json: the board's verdict and each persona's review.
type BoardResult struct {
	TaskID     string                 `json:"task_id"`
	Title      string                 `json:"title"`
	State      register.ProposalState `json:"state"`
	Verdict    register.Verdict       `json:"verdict,omitempty"` // none while nothing is decided
	Reviews    []BoardReview          `json:"reviews"`
	Dissents   []string               `json:"dissents"`
	Conditions []string               `json:"conditions"`
	Missing    []string               `json:"missing"`
	Recused    []string               `json:"recused"`
	ActionText string                 `json:"action,omitempty"`
	CarriedOut bool                   `json:"carried_out"`
	Outcome    string                 `json:"outcome,omitempty"`
	OpenedBy   string                 `json:"opened_by"`
	OpenedAt   time.Time              `json:"opened_at"`
	ClosedAt   time.Time              `json:"closed_at,omitzero"`
}

func boardExportCommand() *command {
	return &command{
		name:     "board export",
		summary:  "A proposal as forge's board.json: the verdict and every seat's review.",
		examples: []string{"board export P-7"},
		grammar:  func() grammar { return new(proposalArgument) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			id, err := argumentsOf[string](call)
			if err != nil {
				return Reply{}, err
			}
			p, err := s.api.Proposal(ctx, s.by, id)
			if err != nil {
				return Reply{}, err
			}
			reply := Reply{Data: boardResult(p), Mood: MoodDone}
			reply.Markdown = fenced(p.ID+".board.json", JSON(reply))
			return reply, nil
		},
	}
}

// fenced shows text as code that nothing in it can end.
func fenced(name, text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return "**" + name + "**\n\n" + fence + "json\n" + text + "\n" + fence
}

func boardResult(p register.Proposal) BoardResult {
	result := BoardResult{
		TaskID: p.ID, Title: p.Title, State: p.State, Reviews: []BoardReview{}, Dissents: []string{}, Conditions: []string{}, Recused: []string{},
		Missing: append([]string{}, p.Tally.Missing...), ActionText: p.ActionText, CarriedOut: p.Outcome.CarriedOut, Outcome: p.Outcome.Text,
		OpenedBy: p.OpenedBy, OpenedAt: p.OpenedAt, ClosedAt: p.ClosedAt,
	}
	switch p.State {
	case register.ProposalStatePassed:
		result.Verdict = register.VerdictApprove
	case register.ProposalStateRejected:
		result.Verdict = register.VerdictReject
	}
	seats := map[string]register.Seat{}
	for _, seat := range p.Roster {
		seats[seat.Seat] = seat
		if seat.Recused != "" {
			result.Recused = append(result.Recused, seat.Seat+": "+seat.Recused)
		}
	}
	for _, vote := range p.Votes {
		result.Reviews = append(result.Reviews, reviewOf(vote, seats[vote.Seat]))
		if dissents(p, vote) {
			result.Dissents = append(result.Dissents, strings.TrimSuffix(vote.Seat+": "+vote.Reason, ": "))
		}
		if vote.Verdict == register.VerdictConditional {
			result.Conditions = append(result.Conditions, vote.Seat+": "+vote.Reason)
		}
	}
	return result
}

// dissents says whether a vote that counts was against what was decided.
func dissents(p register.Proposal, vote register.Vote) bool {
	switch p.State {
	case register.ProposalStatePassed:
		return vote.Verdict == register.VerdictReject
	case register.ProposalStateRejected:
		return vote.Verdict == register.VerdictApprove || vote.Accepted
	}
	return false
}

func reviewOf(vote register.Vote, seat register.Seat) BoardReview {
	review := BoardReview{
		Persona: vote.Persona, Verdict: vote.Verdict, Confidence: vote.Confidence, Concerns: append([]string{}, vote.Concerns...),
		Recommendations: append([]string{}, vote.Recommendations...), KeyRisks: append([]string{}, vote.KeyRisks...),
		Seat: vote.Seat, Lens: seat.Lens, Actor: vote.Actor, Reason: vote.Reason, How: vote.How, EventID: vote.EventID, CastAt: vote.CastAt,
	}
	if review.Persona == "" {
		review.Persona = strings.ToUpper(vote.Seat)
	}
	return review
}
