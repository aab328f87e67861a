package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// openFor is how long a proposal stays open when nobody says otherwise.
const openFor = 24 * time.Hour

// Outcome is what became of the action.
type Outcome struct {
	CarriedOut bool   `json:"carried_out"`
	Text       string `json:"text"`
}

// Review is what an agent's persona says beside its verdict, in the words of forge's board.
type Review struct {
	Persona         string   `json:"persona,omitempty"`
	Confidence      *float64 `json:"confidence,omitempty"` // 0 to 1
	Concerns        []string `json:"concerns,omitempty"`
	Recommendations []string `json:"recommendations,omitempty"`
	KeyRisks        []string `json:"key_risks,omitempty"`
}

func (r *Review) empty() bool {
	return r.Persona == "" && r.Confidence == nil && len(r.Concerns)+len(r.Recommendations)+len(r.KeyRisks) == 0
}

// Vote is a seat's live vote.
type Vote struct {
	Seat     string    `json:"seat"`
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason,omitempty"`
	Actor    string    `json:"actor"`
	Deputy   bool      `json:"deputy,omitempty"`   // cast by the seat's deputy
	How      string    `json:"how"`                // HowReaction, HowSigned or HowToken
	Accepted bool      `json:"accepted,omitempty"` // its condition; it then approves
	EventID  string    `json:"event_id,omitempty"`
	CastAt   time.Time `json:"cast_at"`
	Review

	id int64
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
	Signed     bool            `json:"signed,omitempty"`
	ClosesAt   time.Time       `json:"closes_at"`
	Settling   string          `json:"settling,omitempty"` // what it closes as unless a vote changes that
	SettlesAt  time.Time       `json:"settles_at,omitzero"`
	Roster     []Seat          `json:"roster"`
	Votes      []Vote          `json:"votes"`
	Intents    []Vote          `json:"intents,omitempty"` // reactions on a signed proposal, which do not count
	Tally      Tally           `json:"tally"`
	Outcome    *Outcome        `json:"outcome,omitempty"`
	Origin     json.RawMessage `json:"origin,omitempty"`
	Incident   string          `json:"incident,omitempty"` // what opened it by itself
	OpenedBy   string          `json:"opened_by"`
	OpenedAt   time.Time       `json:"opened_at"`
	ClosedAt   time.Time       `json:"closed_at,omitzero"`
	ClosedBy   string          `json:"closed_by,omitempty"`
	Unread     []string        `json:"unread,omitempty"` // rooms that were not known to be read to the end when it closed

	standing []Vote // every vote that was not withdrawn, counted or not
}

// ends is when voting ends: at the deadline, or earlier once it has settled.
func (p *Proposal) ends() time.Time {
	if !p.SettlesAt.IsZero() && p.SettlesAt.Before(p.ClosesAt) {
		return p.SettlesAt
	}
	return p.ClosesAt
}

// Question is what someone puts to the board.
type Question struct {
	Title, Body string
	Action      *Action
	Quorum      int       // seats that must vote; 0 is more than half
	Pass        string    // empty is PassMajority
	ClosesAt    time.Time // zero is in 24 hours
	Signed      bool      // only votes that a device or a token vouches for count
	Origin      json.RawMessage

	incident string // what opens it by itself
}

// OpenProposal puts a question to the board that is seated now. Its action cannot change afterwards.
func (s *Store) OpenProposal(ctx context.Context, m Mutation, question Question) (Proposal, error) {
	return once(ctx, s, m, func(t *transaction) (Proposal, error) {
		if err := t.readClock(ctx); err != nil {
			return Proposal{}, err
		}
		return t.open(ctx, question, t.actor)
	})
}

// open opens a question as by opener.
func (t *transaction) open(ctx context.Context, question Question, opener string) (Proposal, error) {
	board, err := readBoard(ctx, t.Queries, t.Tenant)
	if err != nil {
		return Proposal{}, err
	}
	roster, err := t.roster(ctx)
	if err != nil {
		return Proposal{}, err
	}
	for i := range roster {
		roster[i].Chair = roster[i].Seat == board.Chair
	}
	words, err := t.checkAction(ctx, question.Action, opener)
	if err != nil {
		return Proposal{}, err
	}
	if err := t.recuse(ctx, roster, question.Action); err != nil {
		return Proposal{}, err
	}
	question.Signed = question.Signed || words.spends && board.signs(words.amounts)
	if err := question.complete(roster, t.now); err != nil {
		return Proposal{}, err
	}
	return t.openProposal(ctx, question, roster, words.text, opener)
}

// complete fills in what was left out and refuses what no board can decide.
func (q *Question) complete(roster []Seat, now time.Time) error {
	if len(roster) == 0 {
		return &Error{
			Code: CodeInvalid, Detail: "The board has no seats, so nobody could vote.", NextStep: "An admin seats the board first.",
		}
	}
	seats := tallyOf(roster, nil, q.Pass).Seats
	if seats == 0 {
		return &Error{
			Code: CodeInvalid, Field: "action", Detail: "Everybody on the board is recused from this, so nobody could vote.",
			NextStep: "An admin seats somebody who neither asked for the work nor runs it.",
		}
	}
	if q.Quorum == 0 {
		q.Quorum = seats/2 + 1
	}
	if q.Quorum > seats {
		return &Error{
			Code: CodeInvalid, Field: "quorum",
			Detail:   fmt.Sprintf("A quorum of %d is larger than the board, which has %s.", q.Quorum, seatsThatVote(seats, len(roster))),
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

func seatsThatVote(seats, all int) string {
	if seats < all {
		return fmt.Sprintf("%d seats that may vote on this", seats)
	}
	return fmt.Sprintf("%d seats", seats)
}

func (t *transaction) openProposal(ctx context.Context, question Question, roster []Seat, text, opener string) (Proposal, error) {
	params := query.InsertProposalParams{
		TenantID: t.Tenant, Host: t.Host, Title: question.Title, Body: question.Body, ActionText: text,
		Quorum: int32(question.Quorum), Pass: question.Pass, ClosesAt: question.ClosesAt, Origin: question.Origin,
		OpenedBy: opener, OpenedAt: t.now, Signed: question.Signed,
	}
	if question.incident != "" {
		params.Incident = &question.incident
	}
	if action := question.Action; action != nil {
		params.Action, params.Details = &action.Kind, action.stored()
		if action.Dispatch != 0 {
			params.DispatchID = (*int64)(&action.Dispatch)
		}
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
			Identity: seat.Identity, MatrixID: seat.MatrixID, Deputy: seat.Deputy, DeputyMatrixID: seat.DeputyMatrixID,
			Chair: seat.Chair, Recused: seat.Recused,
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
	votes, err := t.StandingVotes(ctx, query.StandingVotesParams{TenantID: t.Tenant, Proposals: ids})
	if err != nil {
		return nil, fmt.Errorf("reading the votes: %w", err)
	}
	out := make([]Proposal, 0, len(rows))
	for _, row := range rows {
		proposal, err := proposalOf(row, roster, votes)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", ProposalID(row.ID), err)
		}
		out = append(out, proposal)
	}
	return out, nil
}

func proposalOf(row query.Proposal, roster []query.Roster, votes []query.Vote) (Proposal, error) {
	proposal := Proposal{
		ID: ProposalID(row.ID), TenantID: row.TenantID, Host: row.Host, Title: row.Title, Body: row.Body,
		ActionText: row.ActionText, State: row.State, Quorum: int(row.Quorum), Pass: row.Pass, ClosesAt: row.ClosesAt.UTC(),
		Signed: row.Signed, Settling: row.Settling, SettlesAt: instant(row.SettlesAt), ClosedBy: row.ClosedBy, Unread: row.Unread,
		Roster: []Seat{}, Origin: row.Origin, OpenedBy: row.OpenedBy, OpenedAt: row.OpenedAt.UTC(),
		ClosedAt: instant(row.ClosedAt),
	}
	if row.Incident != nil {
		proposal.Incident = *row.Incident
	}
	var err error
	if proposal.Action, err = actionOf(&row); err != nil {
		return Proposal{}, err
	}
	if row.CarriedOut != nil {
		proposal.Outcome = &Outcome{CarriedOut: *row.CarriedOut, Text: row.Outcome}
	}
	for _, seat := range roster {
		if seat.ProposalID == row.ID {
			proposal.Roster = append(proposal.Roster, Seat{
				Seat: seat.Seat, Lens: seat.Lens, Identity: seat.Identity, MatrixID: seat.MatrixID, Deputy: seat.Deputy,
				DeputyMatrixID: seat.DeputyMatrixID, Chair: seat.Chair, Recused: seat.Recused,
			})
		}
	}
	for _, row := range votes {
		if row.ProposalID == int64(proposal.ID) {
			vote, err := voteOf(row)
			if err != nil {
				return Proposal{}, err
			}
			proposal.standing = append(proposal.standing, vote)
		}
	}
	proposal.Votes, proposal.Intents = count(proposal.Roster, proposal.standing, proposal.Signed)
	proposal.Tally = tallyOf(proposal.Roster, proposal.Votes, proposal.Pass)
	return proposal, nil
}

func voteOf(row query.Vote) (Vote, error) {
	vote := Vote{
		Seat: row.Seat, Verdict: row.Verdict, Reason: row.Reason, Actor: row.Actor, How: row.How, Accepted: row.Accepted,
		EventID: row.EventID, CastAt: row.CastAt.UTC(), id: row.ID,
	}
	if row.Review != nil {
		if err := json.Unmarshal(row.Review, &vote.Review); err != nil {
			return Vote{}, fmt.Errorf("reading the review of a vote: %w", err)
		}
	}
	return vote, nil
}
