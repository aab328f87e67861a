package conformance

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func audit() []promise {
	return []promise{
		{"audit", "every event is an entry, as it was told", entriesAreEvents},
		{"audit", "seals chain the entries within seconds, anyone computes the same, and a head that was read stays in the chain", chained},
		{"events", "a position that is no longer retained: 410 gone, with how to go on", tellGone},
	}
}

func entriesAreEvents(ctx context.Context, t *trial) error {
	heard, err := t.hearing()
	if err != nil {
		return err
	}
	made, err := t.ready(ctx, t.role("audit"))
	if err != nil {
		return err
	}
	if err := heard.untilTold(ctx, made.ID, register.EventTypeDispatchReady); err != nil {
		return err
	}
	var told message
	for _, m := range heard.so() {
		if m.event().Dispatch.ID == made.ID {
			told = m
		}
	}
	var page register.AuditEntryList
	if err := t.read(ctx, viewer, "/api/fleet/audit/entries?limit=1&after="+strconv.FormatInt(told.event().Seq-1, 10), &page); err != nil {
		return err
	}
	if len(page.Entries) != 1 || page.Entries[0].Seq != told.event().Seq {
		return seen("the entry at %s is answered as %+v", told.id, page)
	}
	if !sameEvent(told.data, []byte(page.Entries[0].Text)) {
		return seen("event %s was told as %s, and its entry is %s", told.id, told.data, page.Entries[0].Text)
	}
	return nil
}

// sameEvent compares what two texts say, but for the position, which an entry has beside it.
func sameEvent(one, other []byte) bool {
	var a, b map[string]any
	if json.Unmarshal(one, &a) != nil || json.Unmarshal(other, &b) != nil {
		return false
	}
	delete(a, "seq")
	delete(b, "seq")
	return reflect.DeepEqual(a, b)
}

func chained(ctx context.Context, t *trial) error {
	early, err := t.sealedHead(ctx)
	if err != nil {
		return err
	}
	if _, err := t.ready(ctx, t.role("chain")); err != nil {
		return err
	}
	late, err := t.sealedHead(ctx)
	if err != nil {
		return err
	}
	if early == late {
		return seen("a dispatch was made, and the head is still %s", late)
	}
	var seals register.AuditSealList
	if err := t.read(ctx, viewer, "/api/fleet/audit/seals?limit=1", &seals); err != nil {
		return err
	}
	audited, err := t.api.VerifyAudit(ctx, register.By{}, early, late)
	if err != nil {
		return seen("%w", err)
	}
	last, _, _ := strings.Cut(late, ":")
	if sealed, _ := strconv.ParseInt(last, 10, 64); audited.Entries < sealed {
		return seen("the head is %s, and the chain covers %d entries", late, audited.Entries)
	}
	return nil
}

// sealedHead is the head of the chain once nothing waits for its seal.
func (t *trial) sealedHead(ctx context.Context) (string, error) {
	var head register.AuditHead
	err := soon(ctx, 10*time.Second, func() error {
		if err := t.read(ctx, viewer, "/api/fleet/audit/head", &head); err != nil {
			return err
		}
		if head.Unsealed > 0 || head.Head == "" {
			return seen("%d entries wait for their seal after the head %q", head.Unsealed, head.Head)
		}
		return nil
	})
	return head.Head, err
}

func tellGone(ctx context.Context, t *trial) error {
	start, err := t.first(ctx, "0")
	if err != nil {
		return err
	}
	if start <= 2 {
		return notTried("the log is still retained from its start")
	}
	got, err := t.ask(ctx, asking{method: http.MethodGet, path: "/api/fleet/events", last: "1"})
	if err != nil {
		return err
	}
	if err := got.is(http.StatusGone, register.ProblemCodeGone); err != nil {
		return seen("the log begins with %d, and after 1 it was answered %w", start, err)
	}
	var problem register.Problem
	_ = json.Unmarshal(got.body, &problem) // its shape is checked
	hint := problem.Resync
	if hint.Lost.First != 2 || hint.Lost.Last != hint.After || len(hint.ReadAgain) == 0 {
		return seen("the hint is %+v", hint)
	}
	for _, path := range hint.ReadAgain {
		if err := t.read(ctx, viewer, path, nil); err != nil {
			return err
		}
	}
	next, err := t.first(ctx, strconv.FormatInt(hint.After, 10))
	if err != nil {
		return err
	}
	if next != hint.After+1 {
		return seen("the hint says to go on after %d, and then comes %d", hint.After, next)
	}
	return nil
}

// first is the position of the first event that is told after one.
func (t *trial) first(ctx context.Context, after string) (int64, error) {
	told, err := t.listen(ctx, after)
	if err != nil {
		return 0, err
	}
	defer told.close()
	var first int64
	err = soon(ctx, 10*time.Second, func() error {
		so := told.so()
		if len(so) == 0 {
			return seen("nothing is told after %s", after)
		}
		first = so[0].event().Seq
		return nil
	})
	return first, err
}
