package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// OverrideGrant is what an override of a window grants: so much more in each of so many epochs.
type OverrideGrant struct {
	Provider     string
	Subscription string // empty is the provider's own
	Window       string // empty is DefaultWindow
	Lifts        budget.Lift
	Unit         string // empty is the window's
	Micros       int64
	Cycles       int       // 0 is the current epoch alone
	Expires      time.Time // zero: only the cycles end it
	Reason       string
	Proposal     *ProposalID // that decided it; nil if an admin did
}

// Override is an override of a window as it stands.
type Override struct {
	ID           OverrideID  `json:"id"`
	TenantID     string      `json:"tenant_id"`
	Host         string      `json:"host"`
	Provider     string      `json:"provider"`
	Subscription string      `json:"subscription"`
	Window       string      `json:"window"`
	Lifts        string      `json:"lifts"`
	Unit         string      `json:"unit"`
	Micros       int64       `json:"micros"`
	Cycles       int         `json:"cycles"`
	CyclesLeft   int         `json:"cycles_left"` // the current one included
	ExpiresAt    time.Time   `json:"expires_at,omitzero"`
	Reason       string      `json:"reason,omitempty"`
	Proposal     *ProposalID `json:"proposal,omitempty"`
	GrantedBy    string      `json:"granted_by"`
	GrantedAt    time.Time   `json:"granted_at"`
	EndedAt      time.Time   `json:"ended_at,omitzero"`
	EndedBy      string      `json:"ended_by,omitempty"`
	EndedWhy     string      `json:"ended_why,omitempty"`
}

// OverridePage is overrides, newest first.
type OverridePage struct {
	Overrides []Override `json:"overrides"`
	Next      string     `json:"next,omitempty"`
	Now       time.Time  `json:"now"`
}

// OverrideChange is an override that was granted or ended, its window after that, and the waiting work that was planned anew.
type OverrideChange struct {
	Override  Override     `json:"override"`
	Window    Window       `json:"window"`
	Replanned []DispatchID `json:"replanned"`
	Now       time.Time    `json:"now"`
}

// GrantOverride lifts what holds a window back, for so many epochs and no longer than until it expires.
func (s *Store) GrantOverride(ctx context.Context, m Mutation, wanted OverrideGrant) (OverrideChange, error) {
	return once(ctx, s, m, func(t *transaction) (OverrideChange, error) { return t.grantOverride(ctx, wanted) })
}

// grantOverride grants an override in the transaction of whoever decided it, an admin or a proposal that passed. It takes the
// windows' locks itself, so the caller has no book open. A window that does not exist, one that has lapsed, an amount that lifts
// nothing and a limit that is the provider's are refused with an *Error. Waiting work is then judged by the same gate as ever.
func (t *transaction) grantOverride(ctx context.Context, wanted OverrideGrant) (OverrideChange, error) {
	wanted.Subscription = cmp.Or(wanted.Subscription, wanted.Provider)
	wanted.Window = cmp.Or(wanted.Window, DefaultWindow)
	wanted.Lifts, wanted.Cycles = cmp.Or(wanted.Lifts, budget.LiftPace), cmp.Or(wanted.Cycles, 1)
	b, err := t.openBook(ctx)
	if err != nil {
		return OverrideChange{}, err
	}
	id := b.named(windowKey(wanted.Provider, wanted.Subscription, wanted.Window))
	if id == 0 {
		return OverrideChange{}, noWindow(wanted.Subscription, wanted.Window)
	}
	window, _ := b.window(id)
	if err := wanted.check(window, b.now); err != nil {
		return OverrideChange{}, err
	}
	row, err := t.InsertGrant(ctx, query.InsertGrantParams{
		TenantID: t.Tenant, Host: t.Host, ProposalID: (*int64)(wanted.Proposal), Actor: t.actor, At: t.now, Provider: wanted.Provider,
		Subscription: wanted.Subscription, WindowName: wanted.Window, Lifts: new(string(wanted.Lifts)), Unit: window.Unit,
		Micros: &wanted.Micros, Cycles: new(int32(wanted.Cycles)), FirstEpoch: new(b.rows[id].Epoch),
		ExpiresAt: pointer(wanted.Expires.UTC().Truncate(time.Microsecond)), Reason: wanted.Reason,
	})
	if err != nil {
		return OverrideChange{}, fmt.Errorf("recording the override: %w", err)
	}
	return t.concludeOverride(ctx, id, overrideOf(row, b.rows[id].Epoch), "override.granted")
}

func (g OverrideGrant) check(window *budget.Window, now time.Time) error {
	override := budget.Override{Lifts: g.Lifts, Micros: g.Micros, Cycles: g.Cycles, Expires: g.Expires}
	err := window.Permits(override)
	var providers *budget.ProviderLimitError
	switch {
	case window.Lapsed(now):
		return &Error{
			Code: CodeWindowLapsed, Field: "window", NextStep: "Set it again first, then grant the override.",
			Detail: fmt.Sprintf("The window %s lapsed at %s, so there is nothing to lift.", window.Name, window.Reset.Format(time.RFC3339)),
		}
	case g.Unit != "" && g.Unit != window.Unit:
		return &Error{
			Code: CodeUnitMismatch, Field: "unit", Example: window.Unit, NextStep: fmt.Sprintf("Give the amount in %s.", window.Unit),
			Detail: fmt.Sprintf("The window %s counts %s, not %s.", window.Name, window.Unit, g.Unit),
		}
	case errors.As(err, &providers):
		return &Error{Code: CodeProviderLimit, Field: "lifts", Detail: err.Error(), Example: string(budget.LiftPace), NextStep: "Ask for one of those."}
	case err != nil:
		return &Error{Code: CodeInvalid, Field: g.wrong(), Detail: sentence(err), Example: g.example(), NextStep: "Correct it and ask again."}
	case !g.Expires.IsZero() && !g.Expires.After(now):
		return &Error{
			Code: CodeInvalid, Field: "expires_at", Example: now.Add(time.Hour).Truncate(time.Minute).Format(time.RFC3339),
			Detail:   fmt.Sprintf("The override would have expired at %s already; it is now %s.", g.Expires.UTC().Format(time.RFC3339), now.Format(time.RFC3339)),
			NextStep: "Give an expiry in the future, or leave it out.",
		}
	}
	return nil
}

// wrong is the field that Permits speaks of.
func (g OverrideGrant) wrong() string {
	switch {
	case g.Micros <= 0:
		return "micros"
	case g.Cycles < 1:
		return "cycles"
	}
	return "lifts"
}

func (g OverrideGrant) example() string {
	return map[string]string{"micros": "40000000", "cycles": "1", "lifts": string(budget.LiftPace)}[g.wrong()]
}

// concludeOverride judges the waiting work under what changed and tells about both.
func (t *transaction) concludeOverride(ctx context.Context, window int64, override Override, event string) (OverrideChange, error) {
	b, err := t.openBook(ctx)
	if err != nil {
		return OverrideChange{}, err
	}
	told := Event{Type: event, Cause: override.text(), Override: &override}
	if window != 0 {
		told.Window = new(b.show(window))
	}
	if err := t.tell(ctx, told); err != nil {
		return OverrideChange{}, err
	}
	change := OverrideChange{Override: override, Now: b.now}
	if change.Replanned, err = t.replanLine(ctx, b); err != nil {
		return OverrideChange{}, err
	}
	if window != 0 {
		change.Window = b.show(window)
	}
	t.change.Replan, t.change.Schedule = true, true
	return change, t.closeBook(ctx, b)
}

// text is the override in one sentence.
func (o Override) text() string {
	says := fmt.Sprintf("%s: %s more %s for %s, %s", o.ID, budget.Format(o.Micros, o.Unit), o.Lifts, windowKey(o.Provider, o.Subscription, o.Window), cycles(o.CyclesLeft))
	if !o.ExpiresAt.IsZero() {
		says += ", at most until " + o.ExpiresAt.Format("2006-01-02 15:04:05 UTC")
	}
	switch {
	case o.EndedWhy != "":
		says += ", ended: " + o.EndedWhy
	case o.Reason != "":
		says += ": " + o.Reason
	}
	return stopped(says)
}

func cycles(count int) string {
	if count == 1 {
		return "this cycle"
	}
	return fmt.Sprintf("%d cycles", count)
}

// grant makes the live overrides hold in the windows of a book, at its instant.
func (t *transaction) grant(ctx context.Context, b *book) error {
	rows, err := t.LiveGrants(ctx, t.Tenant)
	if err != nil {
		return fmt.Errorf("reading the overrides: %w", err)
	}
	for _, row := range rows {
		id := b.named(windowKey(row.Provider, row.Subscription, row.WindowName))
		if id == 0 {
			continue
		}
		window, _ := b.window(id)
		override := overrideOf(row, b.rows[id].Epoch)
		if !override.live(b.now) || window.Lapsed(b.now) || window.Unit != row.Unit {
			continue
		}
		// A limit that has become the provider's since, or a floor that is gone, leaves nothing to lift.
		if window.Grant(override.rule(), b.now) == nil {
			b.overrides[id] = append(b.overrides[id], override)
		}
	}
	return nil
}

// named is the ID of the current window with these names; 0 if there is none.
func (b *book) named(key string) int64 {
	for _, id := range b.order {
		window, subscription := b.window(id)
		if windowKey(subscription.Provider, subscription.Name, window.Name) == key {
			return id
		}
	}
	return 0
}

func (o Override) rule() budget.Override {
	return budget.Override{Lifts: budget.Lift(o.Lifts), Micros: o.Micros, Cycles: o.CyclesLeft, Expires: o.ExpiresAt}
}

func (o Override) live(now time.Time) bool { return o.EndedAt.IsZero() && o.rule().Live(now) }

// overrideOf is an override while its window is in an epoch.
func overrideOf(row query.Override, epoch int32) Override {
	rule := budget.Override{Cycles: int(*row.Cycles)}.Rolled(int(max(0, epoch-*row.FirstEpoch)))
	override := Override{
		ID: OverrideID(row.ID), TenantID: row.TenantID, Host: row.Host, Provider: row.Provider, Subscription: row.Subscription,
		Window: row.WindowName, Lifts: *row.Lifts, Unit: row.Unit, Micros: *row.Micros, Cycles: int(*row.Cycles), CyclesLeft: rule.Cycles,
		ExpiresAt: instant(row.ExpiresAt), Reason: row.Reason, Proposal: (*ProposalID)(row.ProposalID), GrantedBy: row.Actor,
		GrantedAt: row.At.UTC(), EndedAt: instant(row.EndedAt), EndedWhy: row.EndedWhy,
	}
	if row.EndedBy != nil {
		override.EndedBy = *row.EndedBy
		override.CyclesLeft = 0
	}
	return override
}

// Overrides reads a page of overrides, newest first, those that have ended too if asked for, older than before unless it is 0.
func (s *Store) Overrides(ctx context.Context, ended bool, before OverrideID, page int) (OverridePage, error) {
	out := OverridePage{Overrides: []Override{}}
	err := s.read(ctx, func(t *transaction) error {
		out.Now = t.now
		rows, err := t.ListGrants(ctx, query.ListGrantsParams{TenantID: t.Tenant, Ended: ended, Before: int64(before), Page: int32(page) + 1})
		if err != nil {
			return fmt.Errorf("listing the overrides: %w", err)
		}
		if len(rows) > page {
			rows = rows[:page]
			out.Next = OverrideID(rows[page-1].ID).String()
		}
		b, err := t.readBook(ctx)
		if err != nil {
			return err
		}
		for _, row := range rows {
			out.Overrides = append(out.Overrides, overrideOf(row, b.epochOf(row)))
		}
		return nil
	})
	return out, err
}

// epochOf is the epoch that an override's window is in; the override's first one if the window is gone.
func (b *book) epochOf(row query.Override) int32 {
	if id := b.named(windowKey(row.Provider, row.Subscription, row.WindowName)); id != 0 {
		return b.rows[id].Epoch
	}
	return *row.FirstEpoch
}

// RevokeOverride ends an override before its time.
func (s *Store) RevokeOverride(ctx context.Context, m Mutation, id OverrideID, reason string) (OverrideChange, error) {
	return once(ctx, s, m, func(t *transaction) (OverrideChange, error) {
		why := fmt.Sprintf("revoked by %s", t.actor)
		if reason != "" {
			why += ": " + reason
		}
		return t.endOverride(ctx, id, why)
	})
}

func (t *transaction) endOverride(ctx context.Context, id OverrideID, why string) (OverrideChange, error) {
	b, err := t.openBook(ctx)
	if err != nil {
		return OverrideChange{}, err
	}
	row, err := t.LockGrant(ctx, query.LockGrantParams{TenantID: t.Tenant, ID: int64(id)})
	if none(err) {
		return OverrideChange{}, notFound("override "+id.String(), "List them with: budget overrides")
	}
	if err != nil {
		return OverrideChange{}, fmt.Errorf("locking %s: %w", id, err)
	}
	if row.EndedAt != nil {
		return OverrideChange{}, &Error{
			Code: CodeNotOpen, NextStep: "Nothing needs to be done.",
			Detail: fmt.Sprintf("%s ended at %s: %s.", id, row.EndedAt.UTC().Format("2006-01-02 15:04:05 UTC"), row.EndedWhy),
		}
	}
	row.EndedAt, row.EndedBy, row.EndedWhy = &t.now, &t.actor, why
	err = t.EndGrant(ctx, query.EndGrantParams{TenantID: t.Tenant, ID: row.ID, Host: t.Host, Now: t.now, EndedBy: t.actor, Why: why})
	if err != nil {
		return OverrideChange{}, fmt.Errorf("ending %s: %w", id, err)
	}
	return t.concludeOverride(ctx, b.named(windowKey(row.Provider, row.Subscription, row.WindowName)), overrideOf(row, b.epochOf(row)), "override.ended")
}

// endOverrides records that overrides are over whose cycles are used up or that have expired; they have not held since.
func (s *Store) endOverrides(ctx context.Context) error {
	over := make(map[OverrideID]string)
	err := s.read(ctx, func(t *transaction) error {
		rows, err := t.LiveGrants(ctx, t.Tenant)
		if err != nil {
			return fmt.Errorf("looking for overrides that are over: %w", err)
		}
		if len(rows) == 0 {
			return nil
		}
		b, err := t.readBook(ctx)
		if err != nil {
			return err
		}
		for _, row := range rows {
			switch override := overrideOf(row, b.epochOf(row)); {
			case override.CyclesLeft == 0:
				over[override.ID] = "its cycles are over"
			case !override.live(b.now):
				over[override.ID] = "it has expired"
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, why := range over {
		err := s.within(ctx, func(t *transaction) error {
			_, err := t.endOverride(ctx, id, why)
			if r := refusal(err); r != nil && r.Code == CodeNotOpen { // another gateway was there first
				t.unrecorded = true
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
