package fleet

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

// Entry is one entry of the audit: an event, as it was written. Its position is not part of its text.
type Entry struct {
	Seq  int64  `json:"seq"`
	Text string `json:"text"`
}

// EntryPage is a page of entries, in order. Next is where to read on; it is absent at the end.
type EntryPage struct {
	Entries []Entry `json:"entries"`
	Next    *int64  `json:"next,omitempty"`
}

// entryBytes is about how much text one page holds at most; an entry that is longer stands alone.
const entryBytes = 1 << 20

// AuditEntries reads the audit on from a position, however old: at most page entries.
func (s *Store) AuditEntries(ctx context.Context, after int64, page int) (EntryPage, error) {
	out := EntryPage{Entries: []Entry{}}
	for size := 0; ; {
		rows, err := query.New(s.pool).EntriesAfter(ctx, query.EntriesAfterParams{TenantID: s.options.Tenant, After: after, Page: readForSeal})
		if err != nil {
			return out, fmt.Errorf("reading the audit: %w", err)
		}
		for _, row := range rows {
			if len(out.Entries) == page || size > 0 && size+len(row.Payload) > entryBytes {
				out.Next = &after
				return out, nil
			}
			out.Entries = append(out.Entries, Entry{Seq: row.Seq, Text: string(row.Payload)})
			after, size = row.Seq, size+len(row.Payload)
		}
		if len(rows) < readForSeal {
			return out, nil
		}
	}
}

// AuditSeal closes a run of entries.
type AuditSeal struct {
	First    int64     `json:"first"`
	Last     int64     `json:"last"`
	TenantID string    `json:"tenant_id"`
	Host     string    `json:"host"`
	Previous string    `json:"previous"`
	Hash     string    `json:"hash"`
	At       time.Time `json:"at"`
}

// SealPage is a page of seals, in order.
type SealPage struct {
	Seals []AuditSeal `json:"seals"`
	Next  *int64      `json:"next,omitempty"`
}

// AuditSeals reads the seals that end after a position: at most page of them.
func (s *Store) AuditSeals(ctx context.Context, after int64, page int) (SealPage, error) {
	rows, err := query.New(s.pool).SealsAfter(ctx, query.SealsAfterParams{TenantID: s.options.Tenant, After: after, Page: int32(page) + 1})
	if err != nil {
		return SealPage{}, fmt.Errorf("reading the seals: %w", err)
	}
	out := SealPage{Seals: make([]AuditSeal, 0, len(rows))}
	if len(rows) > page {
		rows = rows[:page]
		out.Next = &rows[page-1].LastSeq
	}
	for _, row := range rows {
		out.Seals = append(out.Seals, AuditSeal{
			First: row.FirstSeq, Last: row.LastSeq, TenantID: row.TenantID, Host: row.Host, At: row.At.UTC(),
			Previous: hex.EncodeToString(row.Previous), Hash: hex.EncodeToString(row.Hash),
		})
	}
	return out, nil
}

// AuditHead is where the chain ends. Head is empty while nothing is sealed.
type AuditHead struct {
	TenantID string    `json:"tenant_id"`
	Head     string    `json:"head,omitempty"` // position:hash
	SealedAt time.Time `json:"sealed_at,omitzero"`
	Unsealed int64     `json:"unsealed"` // entries that wait for their seal
	// Waiting is how long the oldest of them has waited.
	Waiting time.Duration `json:"-"`
}

// AuditHead reads where the chain ends and what is not sealed yet.
func (s *Store) AuditHead(ctx context.Context) (AuditHead, error) {
	var head AuditHead
	err := s.read(ctx, func(t *transaction) error {
		last, err := t.lastSeal(ctx)
		if err != nil {
			return err
		}
		unsealed, err := t.Unsealed(ctx, query.UnsealedParams{TenantID: t.Tenant, Sealed: last.LastSeq})
		if err != nil {
			return fmt.Errorf("counting what is not sealed: %w", err)
		}
		head = AuditHead{TenantID: t.Tenant, Unsealed: unsealed.Entries}
		if unsealed.Entries > 0 {
			head.Waiting = max(0, t.now.Sub(unsealed.Oldest))
		}
		if last.LastSeq > 0 {
			head.Head, head.SealedAt = headOf(last.LastSeq, last.Hash), last.At.UTC()
		}
		return nil
	})
	return head, err
}

// TellHead tells the head of the chain, once a day, so that others keep it and a cut tail can be seen. It answers whether it told it now.
func (s *Store) TellHead(ctx context.Context) (bool, error) {
	told := false
	err := s.within(ctx, func(t *transaction) error {
		if err := t.readClock(ctx); err != nil {
			return err
		}
		last, err := t.lastSeal(ctx)
		if err != nil || last.LastSeq == 0 {
			return err
		}
		rows, err := t.InsertHead(ctx, query.InsertHeadParams{TenantID: t.Tenant, Host: t.Host, LastSeq: last.LastSeq, Hash: last.Hash, At: t.now})
		if err != nil {
			return fmt.Errorf("keeping the day's head: %w", err)
		}
		if told = rows > 0; !told {
			return nil
		}
		return t.tell(ctx, Event{Type: "audit.head", Audit: &AuditHead{
			TenantID: t.Tenant, Head: headOf(last.LastSeq, last.Hash), SealedAt: last.At.UTC(),
		}})
	})
	return told, err
}
