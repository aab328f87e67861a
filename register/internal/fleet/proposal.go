package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// ActionOverride lifts pace for one refused dispatch.
const ActionOverride = "override"

// openFor is how long a proposal stays open when nobody says otherwise.
const openFor = 24 * time.Hour

// Action is what a passed proposal carries out.
type Action struct {
	Kind     string     `json:"kind"`
	Dispatch DispatchID `json:"dispatch"`
}

// Outcome is what became of the action.
type Outcome struct {
	CarriedOut bool   `json:"carried_out"`
	Text       string `json:"text"`
}

// Vote is a seat's live vote.
type Vote struct {
	Seat    string    `json:"seat"`
	Verdict string    `json:"verdict"`
	Reason  string    `json:"reason,omitempty"`
	Actor   string    `json:"actor"`
	EventID string    `json:"event_id,omitempty"`
	CastAt  time.Time `json:"cast_at"`
}

// Proposal is a question to the board, with the roster it was opened with.
type Proposal struct {
	ID         ProposalID      `json:"id"`
	TenantID   string          `json:"tenant_id"`
	Host       string          `json:"host"`
	Title      string          `json:"title"`
	Body       string          `json:"body,omitempty"`
	Action     *Action         `json:"action,omitempty"`
	ActionText string          `json:"action_text,omitempty"`
	State      string          `json:"state"`
	Quorum     int             `json:"quorum"`
	Pass       string          `json:"pass"`
	ClosesAt   time.Time       `json:"closes_at"`
	Roster     []Seat          `json:"roster"`
	Votes      []Vote          `json:"votes"`
	Tally      Tally           `json:"tally"`
	Outcome    *Outcome        `json:"outcome,omitempty"`
	Origin     json.RawMessage `json:"origin,omitempty"`
	OpenedBy   string          `json:"opened_by"`
	OpenedAt   time.Time       `json:"opened_at"`
	ClosedAt   time.Time       `json:"closed_at,omitzero"`
}

// Question is what someone puts to the board.
type Question struct {
	Title, Body string
	Action      *Action
	Quorum      int       // seats that must vote; 0 is more than half
	Pass        string    // empty is PassMajority
	ClosesAt    time.Time // zero is in 24 hours
	Origin      json.RawMessage
}

// OpenProposal puts a question to the board that is seated now. Its action cannot change afterwards.
func (s *Store) OpenProposal(ctx context.Context, m Mutation, question Question) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		roster, err := t.roster(ctx)
		if err != nil {
			return Proposal{}, err
		}
		text, err := t.checkAction(ctx, question.Action)
		if err != nil {
			return Proposal{}, err
		}
		if err := t.readClock(ctx); err != nil {
			return Proposal{}, err
		}
		if err := question.complete(len(roster), t.now); err != nil {
			return Proposal{}, err
		}
		return t.openProposal(ctx, question, roster, text)
	})
}

// checkAction refuses an action that cannot be carried out and says in plain words what it would do.
func (t *transaction) checkAction(ctx context.Context, action *Action) (string, error) {
	if action == nil {
		return "", nil
	}
	row, err := t.lockDispatch(ctx, action.Dispatch)
	if err != nil {
		return "", err
	}
	if row.State != StateRefused {
		return "", &Error{
			Code: CodeNotRefused, Field: "action.dispatch",
			Detail:   fmt.Sprintf("%s is %s, not refused; there is nothing to override.", action.Dispatch, row.State),
			NextStep: "Only a refused dispatch needs an override.",
		}
	}
	return liftText(&row)
}

// liftText says what an override does in plain words, with what the board must weigh: which work, whose and how much. The
// reason of the refusal is left out, since its numbers are old when the board reads it.
func liftText(row *query.Dispatch) (string, error) {
	var estimate []Amount
	if err := json.Unmarshal(row.Estimate, &estimate); err != nil {
		return "", fmt.Errorf("reading the estimate of %s: %w", DispatchID(row.ID), err)
	}
	cost := "without an estimate"
	for i, amount := range estimate {
		if i == 0 {
			cost = "estimated at "
		} else {
			cost += " and "
		}
		cost += budget.Format(amount.Micros, amount.Unit)
	}
	brief := strings.Join(strings.Fields(row.Brief), " ")
	if runes := []rune(brief); len(runes) > 100 {
		brief = string(runes[:99]) + "…"
	}
	return fmt.Sprintf("Lift the pace for %s, %s's refused work for %s, %s on %s: “%s”. The cap still holds.",
		DispatchID(row.ID), row.CreatedBy, row.Role, cost, row.ModelRequested, brief), nil
}

// complete fills in what was left out and refuses what no board can decide.
func (q *Question) complete(seats int, now time.Time) error {
	if seats == 0 {
		return &Error{Code: CodeInvalid, Detail: "The board has no seats, so nobody could vote.", NextStep: "An admin seats the board first."}
	}
	if q.Quorum == 0 {
		q.Quorum = seats/2 + 1
	}
	if q.Quorum > seats {
		return &Error{
			Code: CodeInvalid, Field: "quorum",
			Detail:   fmt.Sprintf("A quorum of %d is larger than the board, which has %d seats.", q.Quorum, seats),
			Example:  fmt.Sprint(seats),
			NextStep: fmt.Sprintf("Give a quorum from 1 to %d.", seats),
		}
	}
	if q.Pass == "" {
		q.Pass = PassMajority
	}
	if q.ClosesAt.IsZero() {
		q.ClosesAt = now.Add(openFor)
	}
	q.ClosesAt = q.ClosesAt.UTC().Truncate(time.Microsecond)
	if !q.ClosesAt.After(now) {
		return &Error{
			Code: CodeInvalid, Field: "closes_at",
			Detail:   fmt.Sprintf("The closing time %s is in the past.", q.ClosesAt.Format(time.RFC3339)),
			Example:  now.Add(openFor).Truncate(time.Minute).Format(time.RFC3339),
			NextStep: "Give a closing time in the future.",
		}
	}
	return nil
}

func (t *transaction) openProposal(ctx context.Context, question Question, roster []Seat, text string) (Proposal, error) {
	params := query.InsertProposalParams{
		TenantID: t.Tenant, Host: t.Host, Title: question.Title, Body: question.Body, ActionText: text,
		Quorum: int32(question.Quorum), Pass: question.Pass, ClosesAt: question.ClosesAt, Origin: question.Origin,
		OpenedBy: t.actor, OpenedAt: t.now,
	}
	if question.Action != nil {
		params.Action, params.DispatchID = &question.Action.Kind, (*int64)(&question.Action.Dispatch)
	}
	var err error
	if params.ID, err = t.NextNumber(ctx, query.NextNumberParams{TenantID: t.Tenant, Name: "proposal"}); err != nil {
		return Proposal{}, fmt.Errorf("taking the next proposal number: %w", err)
	}
	if err := t.InsertProposal(ctx, params); err != nil {
		return Proposal{}, fmt.Errorf("recording the proposal: %w", err)
	}
	for _, seat := range roster {
		err := t.InsertRoster(ctx, query.InsertRosterParams{
			TenantID: t.Tenant, ProposalID: params.ID, Seat: seat.Seat, Host: t.Host, Lens: seat.Lens,
			Identity: seat.Identity, MatrixID: seat.MatrixID,
		})
		if err != nil {
			return Proposal{}, fmt.Errorf("recording the roster: %w", err)
		}
	}
	proposal, err := t.proposal(ctx, ProposalID(params.ID))
	if err != nil {
		return Proposal{}, err
	}
	return proposal, t.tell(ctx, Event{Type: "proposal.opened", Proposal: &proposal})
}

// Proposal reads one proposal with its votes.
func (s *Store) Proposal(ctx context.Context, id ProposalID) (Proposal, error) {
	var proposal Proposal
	err := s.read(ctx, func(t *transaction) error {
		var err error
		proposal, err = t.proposal(ctx, id)
		return err
	})
	return proposal, err
}

// ProposalPage is a page of proposals.
type ProposalPage struct {
	Proposals []Proposal `json:"proposals"`
	Next      string     `json:"next,omitempty"`
}

// Proposals reads a page of proposals, newest first: only those in state, unless it is empty, and older than before, unless it
// is 0.
func (s *Store) Proposals(ctx context.Context, state string, before ProposalID, page int) (ProposalPage, error) {
	var out ProposalPage
	err := s.read(ctx, func(t *transaction) error {
		rows, err := t.ListProposals(ctx, query.ListProposalsParams{TenantID: t.Tenant, State: state, Before: int64(before), Page: int32(page) + 1})
		if err != nil {
			return fmt.Errorf("listing the proposals: %w", err)
		}
		if len(rows) > page {
			rows = rows[:page]
			out.Next = ProposalID(rows[page-1].ID).String()
		}
		out.Proposals, err = t.proposals(ctx, rows)
		return err
	})
	return out, err
}

func (t *transaction) proposal(ctx context.Context, id ProposalID) (Proposal, error) {
	row, err := t.GetProposal(ctx, query.GetProposalParams{TenantID: t.Tenant, ID: int64(id)})
	if none(err) {
		return Proposal{}, noProposal(id)
	}
	if err != nil {
		return Proposal{}, fmt.Errorf("reading the proposal: %w", err)
	}
	proposals, err := t.proposals(ctx, []query.Proposal{row})
	if err != nil {
		return Proposal{}, err
	}
	return proposals[0], nil
}

func noProposal(id ProposalID) error {
	return notFound("proposal "+id.String(), "List the proposals to see their numbers.")
}

// proposals adds rosters, votes and tallies to the rows.
func (t *transaction) proposals(ctx context.Context, rows []query.Proposal) ([]Proposal, error) {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	roster, err := t.ListRoster(ctx, query.ListRosterParams{TenantID: t.Tenant, Proposals: ids})
	if err != nil {
		return nil, fmt.Errorf("reading the rosters: %w", err)
	}
	votes, err := t.LiveVotes(ctx, query.LiveVotesParams{TenantID: t.Tenant, Proposals: ids})
	if err != nil {
		return nil, fmt.Errorf("reading the votes: %w", err)
	}
	out := make([]Proposal, 0, len(rows))
	for _, row := range rows {
		out = append(out, proposalOf(row, roster, votes))
	}
	return out, nil
}

func proposalOf(row query.Proposal, roster []query.Roster, votes []query.Vote) Proposal {
	proposal := Proposal{
		ID: ProposalID(row.ID), TenantID: row.TenantID, Host: row.Host, Title: row.Title, Body: row.Body,
		ActionText: row.ActionText, State: row.State, Quorum: int(row.Quorum), Pass: row.Pass, ClosesAt: row.ClosesAt.UTC(),
		Roster: []Seat{}, Votes: []Vote{}, Origin: row.Origin, OpenedBy: row.OpenedBy, OpenedAt: row.OpenedAt.UTC(),
		ClosedAt: instant(row.ClosedAt),
	}
	if row.Action != nil {
		proposal.Action = &Action{Kind: *row.Action, Dispatch: DispatchID(*row.DispatchID)}
	}
	if row.CarriedOut != nil {
		proposal.Outcome = &Outcome{CarriedOut: *row.CarriedOut, Text: row.Outcome}
	}
	for _, seat := range roster {
		if seat.ProposalID == row.ID {
			proposal.Roster = append(proposal.Roster, Seat{Seat: seat.Seat, Lens: seat.Lens, Identity: seat.Identity, MatrixID: seat.MatrixID})
		}
	}
	for _, vote := range votes {
		if vote.ProposalID == row.ID {
			proposal.Votes = append(proposal.Votes, Vote{
				Seat: vote.Seat, Verdict: vote.Verdict, Reason: vote.Reason, Actor: vote.Actor, EventID: vote.EventID, CastAt: vote.CastAt.UTC(),
			})
		}
	}
	proposal.Tally = tallyOf(proposal.Roster, proposal.Votes, proposal.Pass)
	return proposal
}
