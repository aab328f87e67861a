package commands

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// BoardReview is one persona's review as forge's board writes it to <task>.board.json: these six fields and no others.
type BoardReview struct {
	Persona         string           `json:"persona"`
	Verdict         register.Verdict `json:"verdict"`    // approve, reject or conditional
	Confidence      float64          `json:"confidence"` // 0 to 1; 1 where the voter said nothing of it
	Concerns        []string         `json:"concerns"`
	Recommendations []string         `json:"recommendations"`
	KeyRisks        []string         `json:"key_risks"`
}

// BoardVote is what forge's review has no field for: who cast a seat's vote, how and why.
type BoardVote struct {
	Seat           string           `json:"seat"`
	Lens           string           `json:"lens,omitempty"`
	Persona        string           `json:"persona"`
	Actor          string           `json:"actor"`
	Verdict        register.Verdict `json:"verdict"` // as in a review, or abstain
	Accepted       bool             `json:"accepted"`
	Reason         string           `json:"reason,omitempty"`
	ConfidenceSaid bool             `json:"confidence_said"`
	How            register.VoteHow `json:"how"`
	EventID        string           `json:"event_id,omitempty"`
	CastAt         time.Time        `json:"cast_at"`
}

// BoardResult is a whole proposal: the board's verdict, the reviews as forge writes them, and what became of it.
type BoardResult struct {
	TaskID     string                 `json:"task_id"`
	Title      string                 `json:"title"`
	State      register.ProposalState `json:"state"`
	Verdict    register.Verdict       `json:"verdict,omitempty"` // none while nothing is decided
	Reviews    []BoardReview          `json:"reviews"`
	Votes      []BoardVote            `json:"votes"`
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
		name:    "board export",
		summary: "A proposal as forge's board.json: the verdict and every seat's review.",
		about: "With a seat, that seat's review alone, in the six fields of forge's <task>.board.json. Who abstains has no review, since forge knows no " +
			"such verdict. A vote that came without a confidence counts as sure: 1.",
		examples: []string{"board export P-7", "board export P-7 cto"},
		grammar:  func() grammar { return new(exportGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			asked, err := argumentsOf[exportArguments](call)
			if err != nil {
				return Reply{}, err
			}
			p, err := s.api.Proposal(ctx, s.by, asked.Proposal)
			if err != nil {
				return Reply{}, err
			}
			reply, name := Reply{Data: boardResult(p), Mood: MoodDone}, p.ID
			if asked.Seat != "" {
				if reply.Data, err = reviewBy(p, asked.Seat); err != nil {
					return Reply{}, err
				}
				name += "-" + asked.Seat
			}
			reply.File = File{Name: name + ".board.json", Text: JSON(reply) + "\n"}
			reply.Markdown = exportText(reply.File.Name, p)
			return reply, nil
		},
	}
}

type exportGrammar struct {
	Proposal string `arg:"" placeholder:"P-7" kind:"proposal" help:"The proposal, such as P-7."`
	Seat     string `arg:"" optional:"" help:"Only the review of this seat, such as cto."`
}

type exportArguments struct {
	Proposal string `json:"proposal"`
	Seat     string `json:"seat,omitempty"`
}

func (g *exportGrammar) request(r *reader) request {
	return request{arguments: exportArguments{Proposal: r.proposal("", g.Proposal), Seat: r.name("The seat", strings.ToLower(g.Seat), "cto")}}
}

// reviewBy is the review of one seat; a seat without one is a refusal.
func reviewBy(p register.Proposal, seat string) (BoardReview, error) {
	var reviewed []string
	for _, vote := range p.Votes {
		if vote.Verdict == register.VerdictAbstain {
			continue
		}
		if strings.EqualFold(vote.Seat, seat) {
			return reviewOf(vote), nil
		}
		reviewed = append(reviewed, vote.Seat)
	}
	detail, example := fmt.Sprintf("The seat %s has no review on %s, and no other seat has one.", seat, p.ID), "board export "+p.ID
	if len(reviewed) > 0 {
		detail = fmt.Sprintf("The seat %s has no review on %s; there is one of %s.", seat, p.ID, listing(reviewed, "and"))
		example += " " + reviewed[0]
	}
	return BoardReview{}, &register.Error{Status: http.StatusNotFound, Code: register.ProblemCodeNotFound, Detail: detail, Example: example}
}

// exportText says in a room what the file holds.
func exportText(name string, p register.Proposal) string {
	return paragraph("**"+escape(name)+"**", fmt.Sprintf("%s %s: %s", p.ID, p.State, escape(p.Title)), tallyShort(p.Tally))
}

func boardResult(p register.Proposal) BoardResult {
	result := BoardResult{
		TaskID: p.ID, Title: p.Title, State: p.State, Reviews: []BoardReview{}, Votes: []BoardVote{}, Dissents: []string{}, Conditions: []string{}, Recused: []string{},
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
		if vote.Verdict != register.VerdictAbstain {
			result.Reviews = append(result.Reviews, reviewOf(vote))
		}
		result.Votes = append(result.Votes, BoardVote{
			Seat: vote.Seat, Lens: seats[vote.Seat].Lens, Persona: personaOf(vote), Actor: vote.Actor, Verdict: vote.Verdict, Accepted: vote.Accepted, Reason: vote.Reason,
			ConfidenceSaid: vote.Confidence != nil, How: vote.How, EventID: vote.EventID, CastAt: vote.CastAt,
		})
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

// reviewOf is a vote in forge's fields. Why a person objects is a concern, since forge has no other place for it.
func reviewOf(vote register.Vote) BoardReview {
	review := BoardReview{
		Persona: personaOf(vote), Verdict: vote.Verdict, Confidence: 1, Concerns: append([]string{}, vote.Concerns...),
		Recommendations: append([]string{}, vote.Recommendations...), KeyRisks: append([]string{}, vote.KeyRisks...),
	}
	if vote.Confidence != nil {
		review.Confidence = *vote.Confidence
	}
	if vote.Reason != "" && vote.Verdict != register.VerdictApprove && !slices.Contains(review.Concerns, vote.Reason) {
		review.Concerns = append([]string{vote.Reason}, review.Concerns...)
	}
	return review
}

// personaOf names whose view a vote is; a person votes as the seat.
func personaOf(vote register.Vote) string {
	if vote.Persona != "" {
		return vote.Persona
	}
	return strings.ToUpper(vote.Seat)
}
