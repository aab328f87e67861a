package demo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// The dispatches of the tour, in the order they are made.
const (
	waits = "D-3"
	asked = "D-4"
)

const credit = 1_000_000

func (s *stage) setBudget(ctx context.Context, _ *local.Progress) error {
	reset := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
	command, _, err := s.ask(ctx, s.rooms.budget, "!mosaic budget set --provider claude --limit 500 --unit credits --reset-at "+reset)
	if err != nil {
		return err
	}
	if err := s.marked(ctx, command, "✅"); err != nil {
		return err
	}
	window, err := s.window(ctx)
	if err != nil {
		return err
	}
	if window.LimitMicros != 500*credit || window.UsedMicros != 0 {
		return fmt.Errorf("the register has a window of %d with %d used", window.LimitMicros, window.UsedMicros)
	}
	_, _, err = s.ask(ctx, s.rooms.budget, "!mosaic budget status")
	return err
}

func (s *stage) admitted(ctx context.Context, _ *local.Progress) error {
	command, _, err := s.ask(ctx, s.rooms.fleet, `!mosaic dispatch coder "Survey ./budget: how much Go is there, and which file is the longest?"`)
	if err != nil {
		return err
	}
	if err := s.marked(ctx, command, "✅"); err != nil {
		return err
	}
	dispatch, err := s.done(ctx, command, "D-1")
	if err == nil && dispatch.Model != "opus" {
		err = fmt.Errorf("it ran on %s, not opus", dispatch.Model)
	}
	return err
}

func (s *stage) downgraded(ctx context.Context, _ *local.Progress) error {
	mark := s.people["operator"].Mark()
	command, _, err := s.ask(ctx, s.rooms.fleet, `!mosaic dispatch coder "Survey ./commands: how much Go is there, and which file is the longest?" --estimate 20`)
	if err != nil {
		return err
	}
	if err := s.stepped(ctx, mark, register.StepDowngrade); err != nil {
		return err
	}
	dispatch, err := s.done(ctx, command, "D-2")
	if err == nil && (!dispatch.Downgraded || dispatch.Model == "opus") {
		err = fmt.Errorf("it ran on %s and was not downgraded", dispatch.Model)
	}
	return err
}

// queued asks for as much as makes the cheapest model start some ten seconds from now: haiku costs a fifth of opus, and
// even spread frees a credit every 14 s.
func (s *stage) queued(ctx context.Context, _ *local.Progress) error {
	window, err := s.window(ctx)
	if err != nil {
		return err
	}
	room := window.AllowanceMicros + window.BurstMicros - window.UsedMicros
	estimate := 5 * ((room + credit*8/10) / (credit / 10)) // in tenths of a credit
	mark := s.people["operator"].Mark()
	command, _, err := s.ask(ctx, s.rooms.fleet,
		fmt.Sprintf(`!mosaic dispatch coder "Survey ./register/work: how much Go is there?" --estimate %d.%d`, estimate/10, estimate%10))
	if err != nil {
		return err
	}
	dispatch, err := s.newest(ctx, register.DispatchStateQueued)
	switch {
	case err != nil:
		return err
	case dispatch.ID != waits || dispatch.PromisedStart.IsZero():
		return fmt.Errorf("%s has no promised start", dispatch.ID)
	}
	if err := s.marked(ctx, command, "⏸️"); err != nil {
		return err
	}
	return s.stepped(ctx, mark, register.StepQueue)
}

func (s *stage) refused(ctx context.Context, _ *local.Progress) error {
	operator := s.people["operator"]
	command, _, err := s.ask(ctx, s.rooms.fleet, `!mosaic dispatch coder "Survey ./bot: how much Go is there?" --estimate 200 --deadline +5m`)
	if err != nil {
		return err
	}
	if dispatch, err := s.newest(ctx, register.DispatchStateRefused); err != nil || dispatch.ID != asked {
		return errors.Join(err, fmt.Errorf("the newest dispatch is %s", dispatch.ID))
	}
	if err := s.marked(ctx, command, "❌"); err != nil {
		return err
	}
	_, err = operator.WaitFor(ctx, client.In(s.rooms.budget), client.From(s.bot()), rings(operator.UserID), client.Contains(asked))
	return err
}

func (s *stage) promiseKept(ctx context.Context, progress *local.Progress) error {
	dispatch, err := s.system.API().Dispatch(ctx, register.By{}, waits)
	if err != nil {
		return err
	}
	ended := progress.Step(fmt.Sprintf("waiting for %s, promised for %s", waits, dispatch.PromisedStart.Format(time.TimeOnly)))
	ran, err := s.done(ctx, id.EventID(dispatch.Origin.Event), waits)
	ended(err)
	if err == nil && ran.StartedAt.Before(dispatch.PromisedStart.Add(-time.Second)) {
		err = fmt.Errorf("it started at %s, before its promised start %s", ran.StartedAt, dispatch.PromisedStart)
	}
	return err
}

func (s *stage) overridden(ctx context.Context, _ *local.Progress) error {
	if _, _, err := s.ask(ctx, s.rooms.board, fmt.Sprintf(`!mosaic board propose "Survey the bot now, ahead of the pace" --for %s`, asked)); err != nil {
		return err
	}
	for _, vote := range []struct{ seat, key string }{{"cfo", "❌"}, {"ceo", "✅"}, {"cto", "✅"}} {
		if err := s.vote(ctx, vote.seat, vote.key); err != nil {
			return fmt.Errorf("%s votes %s: %w", vote.seat, vote.key, err)
		}
	}
	dispatch, err := s.system.API().Dispatch(ctx, register.By{}, asked)
	if err != nil {
		return err
	}
	ran, err := s.done(ctx, id.EventID(dispatch.Origin.Event), asked)
	if err != nil {
		return err
	}
	if !ran.Lifted {
		return fmt.Errorf("%s ran, but no override lifted its pace", asked)
	}
	proposal, err := s.system.API().Proposal(ctx, register.By{}, "P-1")
	if err != nil {
		return err
	}
	if proposal.State != register.ProposalStatePassed || !proposal.Outcome.CarriedOut {
		return fmt.Errorf("the proposal is %s: %s", proposal.State, proposal.Outcome.Text)
	}
	_, _, err = s.ask(ctx, s.rooms.budget, "!mosaic budget status")
	return err
}

// vote reacts to the proposal as it stands in the board's room on the seat's own client.
func (s *stage) vote(ctx context.Context, seat, key string) error {
	person := s.people[seat]
	proposal, err := person.WaitFor(ctx, client.In(s.rooms.board), client.From(s.bot()), rings(person.UserID), client.Contains("P-1"))
	if err != nil {
		return err
	}
	// The seed is there to be tapped.
	if _, err := person.WaitFor(ctx, client.From(s.bot()), client.Reacts(proposal.EventID, key)); err != nil {
		return err
	}
	if _, err := person.React(ctx, s.rooms.board, proposal.EventID, key); err != nil {
		return err
	}
	return s.counted(ctx, seat)
}

// counted waits until the register has a live vote of the seat.
func (s *stage) counted(ctx context.Context, seat string) error {
	for {
		proposal, err := s.system.API().Proposal(ctx, register.By{}, "P-1")
		if err != nil {
			return err
		}
		for _, vote := range proposal.Votes {
			if vote.Actor == seat {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the register has no vote of %s: %w", seat, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stepped waits for the notice in the budget room that the window moved to a step, and checks the register agrees.
func (s *stage) stepped(ctx context.Context, mark int, step register.Step) error {
	if _, err := s.people["operator"].WaitAfter(ctx, mark, client.In(s.rooms.budget), client.From(s.bot()), client.Contains(string(step))); err != nil {
		return err
	}
	window, err := s.window(ctx)
	if err == nil && window.Step != step {
		err = fmt.Errorf("the window stands at %s, not %s", window.Step, step)
	}
	return err
}

// marked waits for the bot's sign on a command.
func (s *stage) marked(ctx context.Context, command id.EventID, sign string) error {
	_, err := s.people["operator"].WaitFor(ctx, client.From(s.bot()), client.Reacts(command, sign))
	return err
}

func (s *stage) window(ctx context.Context) (register.Window, error) {
	status, err := s.system.API().Budgets(ctx, register.By{}, "claude")
	if err != nil {
		return register.Window{}, err
	}
	if len(status.Windows) != 1 {
		return register.Window{}, fmt.Errorf("the register has %d windows of claude, not one", len(status.Windows))
	}
	return status.Windows[0], nil
}
