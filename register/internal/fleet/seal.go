package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet/query"
)

const (
	// sealedAtOnce bounds how many entries one seal covers.
	sealedAtOnce = 1000
	// readForSeal bounds how many of them are in memory.
	readForSeal = 100
)

// Seal closes what was numbered since the last seal with a hash over it and over that seal, and answers up to where the log is
// sealed. It stands behind the writes and takes none of their locks. Any gateway may call it; while one is at it, the others leave it alone.
func (s *Store) Seal(ctx context.Context) (int64, error) {
	for {
		var sealed int64
		more := false
		err := s.within(ctx, func(t *transaction) error {
			mine, err := t.TryAuditLock(ctx, t.Tenant)
			if err != nil {
				return fmt.Errorf("locking the seals: %w", err)
			}
			last, err := t.lastSeal(ctx)
			if err != nil {
				return err
			}
			sealed = last.LastSeq
			if !mine {
				return nil
			}
			next, err := t.seal(ctx, last)
			if err != nil || next == sealed {
				return err
			}
			more, sealed = next == sealed+sealedAtOnce, next
			return nil
		})
		if err != nil || !more {
			return sealed, err
		}
	}
}

// lastSeal is where the chain ends; before its first seal it ends at 0 with a hash of zeros.
func (t *transaction) lastSeal(ctx context.Context) (query.Seal, error) {
	last, err := t.LastSeal(ctx, t.Tenant)
	if none(err) {
		return query.Seal{TenantID: t.Tenant, Hash: make([]byte, sha256.Size)}, nil
	}
	if err != nil {
		return last, fmt.Errorf("reading the last seal: %w", err)
	}
	return last, nil
}

// seal closes one run of entries after the last seal and answers where it ends.
func (t *transaction) seal(ctx context.Context, last query.Seal) (int64, error) {
	entries := sha256.New()
	end := last.LastSeq
	for end < last.LastSeq+sealedAtOnce {
		rows, err := t.EntriesAfter(ctx, query.EntriesAfterParams{TenantID: t.Tenant, After: end, Page: readForSeal})
		if err != nil {
			return 0, fmt.Errorf("reading entries to seal: %w", err)
		}
		for _, row := range rows {
			addEntry(entries, row.Seq, row.Payload)
			end = row.Seq
		}
		if len(rows) < readForSeal {
			break
		}
	}
	if end == last.LastSeq {
		return end, nil
	}
	if err := t.readClock(ctx); err != nil {
		return 0, err
	}
	err := t.InsertSeal(ctx, query.InsertSealParams{
		TenantID: t.Tenant, Host: t.Host, FirstSeq: last.LastSeq + 1, LastSeq: end, Previous: last.Hash, At: t.now,
		Hash: sealHash(t.Tenant, last.LastSeq+1, end, last.Hash, entries.Sum(nil)),
	})
	if err != nil {
		return 0, fmt.Errorf("writing the seal: %w", err)
	}
	return end, nil
}

// addEntry adds an entry to the hash over a run: its position, the length of its text in bytes, and the text.
func addEntry(into hash.Hash, seq int64, text []byte) {
	fmt.Fprintf(into, "%d %d\n%s\n", seq, len(text), text)
}

// sealHash is the hash of a seal. The contract says what its bytes are, so that anyone can compute it from what the API gives.
func sealHash(tenant string, first, last int64, previous, entries []byte) []byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "mosaic-audit-1\n%s\n%d-%d\n%x\n%x\n", tenant, first, last, previous, entries))
	return sum[:]
}

// headOf is a place in the chain in one word, to be kept elsewhere.
func headOf(last int64, sum []byte) string {
	return fmt.Sprintf("%d:%s", last, hex.EncodeToString(sum))
}
