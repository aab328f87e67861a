package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// rooms are the three the bot made.
type rooms struct {
	fleet, budget, board id.RoomID
}

// patience bounds every wait of the tour; on a working machine each takes a second or two.
const patience = 90 * time.Second

// enter waits until everyone has come into the rooms they were invited to.
func (s *stage) enter(ctx context.Context) error {
	bound, err := s.system.Rooms(ctx)
	if err != nil {
		return err
	}
	s.rooms = rooms{
		fleet:  id.RoomID(bound[register.RoomPurposeFleet].Room),
		budget: id.RoomID(bound[register.RoomPurposeBudget].Room),
		board:  id.RoomID(bound[register.RoomPurposeBoard].Room),
	}
	operator := s.people["operator"]
	for _, room := range []id.RoomID{s.rooms.fleet, s.rooms.budget} {
		if err := operator.WaitUntilJoined(ctx, room, operator.UserID); err != nil {
			return err
		}
	}
	var everyone []id.UserID
	for _, person := range s.people {
		everyone = append(everyone, person.UserID)
	}
	return operator.WaitUntilJoined(ctx, s.rooms.board, everyone...)
}

// play is the tour. Each step says what must come of it and fails if it does not.
func (s *stage) play(ctx context.Context, out io.Writer, progress *local.Progress) error {
	showing, stop := context.WithCancel(ctx)
	page := newTranscript(out, map[id.RoomID]string{s.rooms.fleet: "#fleet", s.rooms.budget: "#budget", s.rooms.board: "#board"})
	shown := make(chan struct{})
	mark := s.people["operator"].Mark()
	go func() { defer close(shown); page.follow(showing, s.people["operator"], mark) }()
	defer func() { stop(); <-shown }()

	for _, step := range []struct {
		told string
		do   func(context.Context, *local.Progress) error
	}{
		{"The operator tells the fleet what the subscription allows.", s.setBudget},
		{"Work is admitted; a worker claims it, runs it and reports what it spent.", s.admitted},
		{"Half the slack is kept for cheaper models: a bigger dispatch is lowered to one.", s.downgraded},
		{"The slack is used up: a big dispatch waits, and is told when it will start.", s.queued},
		{"One that cannot wait is refused, and that rings the operator's phone.", s.refused},
		{"The waiting dispatch starts as promised.", s.promiseKept},
		{"The board is asked about the refused one; its vote lifts the pace, and the dispatch runs.", s.overridden},
	} {
		page.heading(step.told)
		limited, cancel := context.WithTimeout(ctx, 2*patience)
		err := step.do(limited, progress)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: %w", step.told, err)
		}
	}
	return nil
}

func (t *transcript) heading(text string) {
	t.lock.Lock()
	defer t.lock.Unlock()
	if t.bold {
		text = "\033[1;36m" + text + "\033[0m"
	}
	_, _ = fmt.Fprintf(t.out, "\n— %s\n", text)
}

// ask has the operator say a command in a room and returns it with the bot's reply, a notice in the command's thread.
func (s *stage) ask(ctx context.Context, room id.RoomID, command string) (asked id.EventID, reply client.Seen, err error) {
	operator := s.people["operator"]
	asked, err = operator.Say(ctx, room, command)
	if err != nil {
		return "", client.Seen{}, err
	}
	reply, err = operator.WaitFor(ctx, client.From(s.bot()), client.InThread(asked), kind(event.MsgNotice))
	return asked, reply, err
}

func (s *stage) bot() id.UserID { return id.UserID(s.system.BotID()) }

func kind(wanted event.MessageType) client.Predicate {
	return func(seen client.Seen) bool { return seen.MsgType == wanted }
}

// rings accepts what wakes this person: a new text that mentions exactly them, among whoever else.
func rings(user id.UserID) client.Predicate {
	return func(seen client.Seen) bool {
		if seen.MsgType != event.MsgText || seen.EditOf != "" {
			return false
		}
		for _, mentioned := range seen.Mentions {
			if mentioned == user {
				return true
			}
		}
		return false
	}
}

// newest is the dispatch the last command made; it must be in one of these states by now.
func (s *stage) newest(ctx context.Context, states ...register.DispatchState) (register.Dispatch, error) {
	list, err := s.system.API().Dispatches(ctx, register.By{}, "", 1)
	if err != nil {
		return register.Dispatch{}, err
	}
	if len(list.Dispatches) == 0 {
		return register.Dispatch{}, fmt.Errorf("the register has no dispatch")
	}
	dispatch := list.Dispatches[0]
	for _, state := range states {
		if dispatch.State == state {
			return dispatch, nil
		}
	}
	return dispatch, fmt.Errorf("%s is %s (%s), not %v", dispatch.ID, dispatch.State, dispatch.Reason, states)
}

// done waits for the message in a dispatch's thread that rings its operator, and checks what the register has of it.
func (s *stage) done(ctx context.Context, thread id.EventID, dispatch string) (register.Dispatch, error) {
	operator := s.people["operator"]
	if _, err := operator.WaitFor(ctx, client.From(s.bot()), client.InThread(thread), rings(operator.UserID)); err != nil {
		return register.Dispatch{}, err
	}
	read, err := s.system.API().Dispatch(ctx, register.By{}, dispatch)
	if err != nil {
		return read, err
	}
	if read.State != register.DispatchStateDone || len(read.Actuals) == 0 {
		return read, fmt.Errorf("%s is %s with actuals %v; it should be done with its spend", dispatch, read.State, read.Actuals)
	}
	return read, nil
}
