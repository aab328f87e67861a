package fleet

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Tier is one model of one provider with its cost relative to the other tiers.
type Tier struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
	Cost     int64  `json:"cost"`
}

// Ladder is the register's tiers, from the highest to the lowest. Without SetBy it is the one its first gateway brought along.
type Ladder struct {
	Tiers   []Tier    `json:"tiers"`
	SetBy   string    `json:"set_by,omitempty"`
	SetAt   time.Time `json:"set_at,omitzero"`
	Version int64     `json:"version"`
}

// ladders keeps the ladder this gateway read last. Every judgement asks for the version first, so that no gateway judges by a
// ladder that another has replaced.
type ladders struct{ last atomic.Pointer[Ladder] }

// Ladder reads the ladder.
func (s *Store) Ladder(ctx context.Context) (Ladder, error) {
	var ladder Ladder
	err := s.read(ctx, func(t *transaction) error {
		var err error
		ladder, err = t.readLadder(ctx)
		return err
	})
	return ladder, err
}

func (t *transaction) readLadder(ctx context.Context) (Ladder, error) {
	ladder := Ladder{Tiers: []Tier{}}
	var err error
	if ladder.Version, err = version(ctx, t.Queries, t.Tenant, settingLadder, ""); err != nil {
		return Ladder{}, err
	}
	rows, err := t.ListTiers(ctx, t.Tenant)
	if err != nil {
		return Ladder{}, fmt.Errorf("reading the ladder: %w", err)
	}
	for _, row := range rows {
		ladder.Tiers = append(ladder.Tiers, Tier{row.Provider, row.Model, row.Cost})
		if ladder.SetAt = row.SetAt.UTC(); row.SetBy != nil {
			ladder.SetBy = *row.SetBy
		}
	}
	return ladder, nil
}

// climb makes this transaction judge by the register's ladder. PutLadder takes the pause's lock alone, so that who shares it judges by
// one ladder to its end. The version is read before the tiers: what is kept is never taken for newer than it is.
func (t *transaction) climb(ctx context.Context) error {
	if t.laddered { // it replaces the ladder itself
		return nil
	}
	current, err := version(ctx, t.Queries, t.Tenant, settingLadder, "")
	if err != nil {
		return err
	}
	ladder := t.ladders.last.Load()
	if ladder == nil || ladder.Version != current {
		read, err := t.readLadder(ctx)
		if err != nil {
			return err
		}
		ladder = &read
		t.ladders.last.Store(ladder)
	}
	t.Ladder = ladder.rules()
	return nil
}

func (l *Ladder) rules() budget.Ladder {
	rules := make(budget.Ladder, len(l.Tiers))
	for i, tier := range l.Tiers {
		rules[i] = budget.Tier(tier)
	}
	return rules
}

// ensureLadder gives a register that has no ladder the one this gateway brought along.
func (t *transaction) ensureLadder(ctx context.Context) error {
	ladder, err := t.readLadder(ctx)
	if err != nil || len(ladder.Tiers) > 0 {
		return err
	}
	if err := t.LockPause(ctx, t.Tenant); err != nil {
		return fmt.Errorf("locking the ladder: %w", err)
	}
	if ladder, err = t.readLadder(ctx); err != nil || len(ladder.Tiers) > 0 {
		return err
	}
	if err := t.readClock(ctx); err != nil {
		return err
	}
	for _, tier := range t.Ladder {
		ladder.Tiers = append(ladder.Tiers, Tier(tier))
	}
	if _, err := t.revise(ctx, settingLadder, "", nil); err != nil {
		return err
	}
	return t.writeTiers(ctx, ladder.Tiers, nil)
}

func (t *transaction) writeTiers(ctx context.Context, tiers []Tier, by *string) error {
	if err := t.DeleteTiers(ctx, t.Tenant); err != nil {
		return fmt.Errorf("taking away the ladder: %w", err)
	}
	for i, tier := range tiers {
		err := t.InsertTier(ctx, query.InsertTierParams{
			TenantID: t.Tenant, Position: int32(i + 1), Host: t.Host, Provider: tier.Provider, Model: tier.Model, Cost: tier.Cost, SetBy: by, SetAt: t.now,
		})
		if err != nil {
			return fmt.Errorf("writing the tier %s: %w", tier.Model, err)
		}
	}
	return nil
}

// PutLadder replaces the ladder and judges the waiting work by it.
func (s *Store) PutLadder(ctx context.Context, m Mutation, tiers []Tier) (Ladder, error) {
	wanted := Ladder{Tiers: tiers}
	return once(ctx, s, m, func(t *transaction) (Ladder, error) {
		if err := wanted.rules().Validate(); err != nil {
			return Ladder{}, &Error{
				Code: CodeInvalid, Field: "tiers", Detail: sentence(err),
				Example:  `[{"provider": "claude", "model": "opus", "cost": 5}, {"provider": "claude", "model": "haiku", "cost": 1}]`,
				NextStep: "Correct the tiers and send them with a new key.",
			}
		}
		return t.putLadder(ctx, wanted)
	})
}

func (t *transaction) putLadder(ctx context.Context, wanted Ladder) (Ladder, error) {
	if err := t.LockPause(ctx, t.Tenant); err != nil { // who judges shares it
		return Ladder{}, fmt.Errorf("locking the ladder: %w", err)
	}
	var err error
	wanted.Version, err = t.revise(ctx, settingLadder, "", func(int64) (standing, error) {
		ladder, err := t.readLadder(ctx)
		ladder.Version-- // this change is counted already
		return standing{what: "The ladder", exists: true, version: ladder.Version, as: ladder.text(), current: ladder}, err
	})
	if err != nil {
		return Ladder{}, err
	}
	if err := t.readClock(ctx); err != nil {
		return Ladder{}, err
	}
	wanted.SetBy, wanted.SetAt = t.actor, t.now
	t.Ladder, t.laddered = wanted.rules(), true
	if err := t.writeTiers(ctx, wanted.Tiers, &t.actor); err != nil {
		return Ladder{}, err
	}
	if err := t.tell(ctx, Event{Type: "ladder.set", Ladder: &wanted}); err != nil {
		return Ladder{}, err
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return Ladder{}, err
	}
	if _, err := t.replanLine(ctx, b); err != nil {
		return Ladder{}, err
	}
	return wanted, t.closeBook(ctx, b)
}

// text is the models from the highest to the lowest.
func (l *Ladder) text() string {
	models := make([]string, len(l.Tiers))
	for i, tier := range l.Tiers {
		models[i] = tier.Model
	}
	return strings.Join(models, ", ")
}
