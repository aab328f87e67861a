package fleet

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

const (
	// together is how many asks share a transaction at most.
	together = 64
	// decideWithin bounds a shared transaction, which does not end with the request of any one who asked.
	decideWithin = 30 * time.Second
)

// admissions are the asks that arrive while others are being decided. They share the next transaction: one hold of the windows, one
// reading of the line, one commit. Correctness lies in the database, so that every gateway may have its own.
type admissions struct {
	mutex    sync.Mutex
	waiting  []*admission
	deciding bool
}

// admission is one ask and, once decided is closed, what came of it.
type admission struct {
	Mutation
	ask      Ask
	decided  chan struct{}
	dispatch Dispatch
	err      error
}

// CreateDispatch decides at once whether the work is ready, queued or refused, and records it, a refusal too.
func (s *Store) CreateDispatch(ctx context.Context, m Mutation, ask Ask) (Dispatch, error) {
	if ask.DryRun {
		return s.admitAlone(ctx, m, ask)
	}
	a := &admission{Mutation: m, ask: ask, decided: make(chan struct{})}
	s.join(ctx, a)
	select {
	case <-a.decided:
		return a.dispatch, a.err
	case <-ctx.Done(): // it is decided all the same, and the same key will tell
		return Dispatch{}, ctx.Err()
	}
}

func (s *Store) join(ctx context.Context, a *admission) {
	s.admissions.mutex.Lock()
	defer s.admissions.mutex.Unlock()
	s.admissions.waiting = append(s.admissions.waiting, a)
	if !s.admissions.deciding {
		s.admissions.deciding = true
		go s.decideWaiting(context.WithoutCancel(ctx))
	}
}

// decideWaiting decides group after group until nobody waits.
func (s *Store) decideWaiting(ctx context.Context) {
	for group := s.admissions.next(); len(group) > 0; group = s.admissions.next() {
		s.decide(ctx, group)
		for _, a := range group {
			close(a.decided)
		}
	}
}

// next takes the asks that go together; the same key comes into one group once. Without any, nobody decides from here on.
func (a *admissions) next() []*admission {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	var group, left []*admission
	keys := make(map[[2]string]struct{})
	for _, waiting := range a.waiting {
		key := [2]string{waiting.Caller, waiting.Key}
		if _, taken := keys[key]; taken || len(group) == together {
			left = append(left, waiting)
			continue
		}
		keys[key] = struct{}{}
		group = append(group, waiting)
	}
	a.waiting, a.deciding = left, len(group) > 0
	return group
}

// decide decides a group in one transaction. If that fails, each is decided alone, so that nobody pays for another's ask.
func (s *Store) decide(ctx context.Context, group []*admission) {
	ctx, cancel := context.WithTimeout(ctx, decideWithin)
	defer cancel()
	err := s.within(ctx, func(t *transaction) error { return t.admitTogether(ctx, group) })
	if err == nil {
		fault("admission.committed")
		return
	}
	for _, a := range group {
		if len(group) > 1 && !Unavailable(err) {
			a.dispatch, a.err = s.admitAlone(ctx, a.Mutation, a.ask)
		} else {
			a.err = err
		}
	}
}

func (s *Store) admitAlone(ctx context.Context, m Mutation, ask Ask) (Dispatch, error) {
	return once(ctx, s, m, func(t *transaction) (Dispatch, error) {
		t.unrecorded = ask.DryRun
		b, err := t.openBook(ctx)
		if err != nil {
			return Dispatch{}, err
		}
		dispatch, err := t.admitOne(ctx, b, ask)
		if err != nil {
			return Dispatch{}, err
		}
		return dispatch, t.closeBook(ctx, b)
	})
}

// admitTogether judges a group in the order it came. What is wrong with one ask is that one's answer and leaves the others alone.
func (t *transaction) admitTogether(ctx context.Context, group []*admission) error {
	kept, err := t.keptAnswers(ctx, group)
	if err != nil {
		return err
	}
	b, err := t.openBook(ctx)
	if err != nil {
		return err
	}
	for _, a := range group {
		a.dispatch, a.err = Dispatch{}, nil
		if answer, found := kept[[2]string{a.Caller, a.Key}]; found {
			if a.err = a.repeated(answer.Hash, answer.Answer, &a.dispatch); refusal(a.err) == nil && a.err != nil {
				return a.err
			}
			continue
		}
		t.actor = a.Actor
		a.dispatch, a.err = t.admitOne(ctx, b, a.ask)
		if a.err == nil {
			a.err = t.remember(ctx, a.Mutation, a.dispatch)
		}
		if a.err != nil && refusal(a.err) == nil {
			return a.err
		}
	}
	if err := t.closeBook(ctx, b); err != nil {
		return err
	}
	fault("admission.reserved")
	return nil
}

// keptAnswers locks the keys of a group, in one order for everybody, and reads what is kept under them.
func (t *transaction) keptAnswers(ctx context.Context, group []*admission) (map[[2]string]query.GetAnswersRow, error) {
	mutations := make([]Mutation, len(group))
	for i, a := range group {
		mutations[i] = a.Mutation
	}
	slices.SortFunc(mutations, func(a, b Mutation) int {
		return cmp.Or(cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Key, b.Key))
	})
	return t.answers(ctx, mutations...)
}
