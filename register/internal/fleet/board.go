package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Keys are the reactions that are read as each verdict; the first of each is put under a proposal to be tapped.
type Keys struct {
	Approve     []string `json:"approve"`
	Reject      []string `json:"reject"`
	Conditional []string `json:"conditional"`
	Abstain     []string `json:"abstain"`
}

// Board is how the board works. It is one setting.
type Board struct {
	// Chair is the seat whose vote breaks a tie; empty breaks none.
	Chair string `json:"chair,omitempty"`
	// SettleSeconds is how long votes may still change once the rest cannot alter the result.
	SettleSeconds int `json:"settle_seconds"`
	// ReadWithinSeconds is how long a deadline waits for the rooms to be read past it.
	ReadWithinSeconds int `json:"read_within_seconds"`
	// SeveralSeats lets one identity hold more than one seat.
	SeveralSeats bool `json:"several_seats"`
	// OpenOnRefusal and OpenOnCap put a refused dispatch, and a window that reaches its cap, to the board.
	OpenOnRefusal bool `json:"open_on_refusal"`
	OpenOnCap     bool `json:"open_on_cap"`
	// SignOver is above which amount an override is voted on with signed votes only, one amount a unit.
	SignOver []Amount `json:"sign_over"`
	Keys     Keys     `json:"keys"`

	SetBy   string    `json:"set_by,omitempty"`
	SetAt   time.Time `json:"set_at,omitzero"`
	Version int64     `json:"version"`
}

// DefaultBoard is how a board works that was never set.
func DefaultBoard() Board {
	return Board{
		SettleSeconds: 60, ReadWithinSeconds: 600,
		SignOver: []Amount{
			{Unit: "dollars", Micros: 100 * budget.Micro}, {Unit: "credits", Micros: 1000 * budget.Micro}, {Unit: "tokens", Micros: 10_000_000 * budget.Micro},
		},
		Keys: Keys{Approve: []string{"✅", "👍"}, Reject: []string{"❌", "👎"}, Conditional: []string{"⚠️"}, Abstain: []string{"⚪"}},
	}
}

// Board reads how the board works.
func (s *Store) Board(ctx context.Context) (Board, error) {
	return readBoard(ctx, query.New(s.pool), s.options.Tenant)
}

func readBoard(ctx context.Context, queries *query.Queries, tenant string) (Board, error) {
	board := DefaultBoard()
	row, err := queries.GetBoard(ctx, tenant)
	if none(err) {
		return board, nil
	}
	if err != nil {
		return Board{}, fmt.Errorf("reading how the board works: %w", err)
	}
	if err := json.Unmarshal(row.Rules, &board); err != nil {
		return Board{}, fmt.Errorf("reading how the board works: %w", err)
	}
	board.SetBy, board.SetAt, board.Version = row.SetBy, row.SetAt.UTC(), row.Version
	return board, nil
}

// PutBoard changes how the board works. Open proposals keep their roster, chair and pass rule; the settling time counts from the next vote on.
func (s *Store) PutBoard(ctx context.Context, m Mutation, change func(*Board)) (Board, error) {
	return once(ctx, s, m, func(t *transaction) (Board, error) {
		if err := t.LockBoard(ctx, t.Tenant); err != nil {
			return Board{}, fmt.Errorf("locking how the board works: %w", err)
		}
		was, err := readBoard(ctx, t.Queries, t.Tenant)
		if err != nil {
			return Board{}, err
		}
		if err := t.readClock(ctx); err != nil {
			return Board{}, err
		}
		now := standing{what: "How the board works", exists: true, version: was.Version, current: was, as: "as it began"}
		if was.SetBy != "" {
			now.as = "set by " + was.SetBy
		}
		if err := t.requireMatch(now); err != nil {
			return Board{}, err
		}
		board := was
		change(&board)
		if err := t.checkBoard(ctx, &board); err != nil {
			return Board{}, err
		}
		return t.putBoard(ctx, board, was.Version+1)
	})
}

func (t *transaction) putBoard(ctx context.Context, board Board, version int64) (Board, error) {
	board.SetBy, board.SetAt, board.Version = "", time.Time{}, 0
	rules := encode(board)
	board.SetBy, board.SetAt, board.Version = t.actor, t.now, version
	err := t.PutBoard(ctx, query.PutBoardParams{TenantID: t.Tenant, Host: t.Host, Rules: rules, SetBy: t.actor, SetAt: t.now, Version: version})
	if err != nil {
		return Board{}, fmt.Errorf("writing how the board works: %w", err)
	}
	return board, t.tell(ctx, Event{Type: "board.set", Board: &board})
}

// checkBoard refuses a chair that is no seat, a reaction that means two things, and seats that the rule no longer allows.
func (t *transaction) checkBoard(ctx context.Context, board *Board) error {
	seats, err := t.roster(ctx)
	if err != nil {
		return err
	}
	names := make([]string, len(seats))
	for i, seat := range seats {
		names[i] = seat.Seat
	}
	if board.Chair != "" && !slices.Contains(names, board.Chair) {
		refused := &Error{
			Code: CodeInvalid, Field: "chair", Detail: fmt.Sprintf("There is no seat %s to be the chair.", board.Chair),
			NextStep: "Seat it first, or name one of the seats.",
		}
		if len(names) > 0 {
			refused.Example = names[0]
		}
		return refused
	}
	if board.SignOver == nil {
		board.SignOver = []Amount{}
	}
	if key := board.Keys.doubled(); key != "" {
		return &Error{
			Code: CodeInvalid, Field: "keys", Detail: fmt.Sprintf("The reaction %s is given twice, so nobody could tell what it means.", key),
			NextStep: "Give every reaction one meaning.",
		}
	}
	if len(board.Keys.Approve) == 0 || len(board.Keys.Reject) == 0 {
		return &Error{Code: CodeInvalid, Field: "keys", Detail: "There has to be a reaction for approve and one for reject.", NextStep: "Give at least one reaction for each."}
	}
	return nil
}

func (k *Keys) all() []string {
	return slices.Concat(k.Approve, k.Reject, k.Conditional, k.Abstain)
}

// plainKey is a reaction without what clients add to one and the same emoji: variation selectors and skin tones.
var plainKey = strings.NewReplacer("\uFE0E", "", "\uFE0F", "", "\U0001F3FB", "", "\U0001F3FC", "", "\U0001F3FD", "", "\U0001F3FE", "", "\U0001F3FF", "")

func (k *Keys) doubled() string {
	seen := make(map[string]bool)
	for _, key := range k.all() {
		if seen[plainKey.Replace(key)] {
			return key
		}
		seen[plainKey.Replace(key)] = true
	}
	return ""
}

// signs says whether an override of these amounts takes signed votes: one is above what is configured, or nobody knows how much it is.
func (b *Board) signs(amounts []Amount) bool {
	if len(b.SignOver) == 0 {
		return false
	}
	for _, amount := range amounts {
		if most, configured := amountIn(b.SignOver, amount.Unit); configured && amount.Micros > most {
			return true
		}
	}
	return len(amounts) == 0
}
