package register

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"regexp"
	"strconv"
	"strings"
)

// AuditEntries reads a page of the audit after a position: at most limit entries (0 is 200).
func (a *API) AuditEntries(ctx context.Context, by By, after int64, limit int) (AuditEntryList, error) {
	response, err := a.calls.ListAuditEntries(ctx, &ListAuditEntriesParams{After: optional(after), Limit: optional(limit), MosaicActor: optional(by.Actor)})
	return answer[AuditEntryList](response, err)
}

// AuditSeals reads a page of seals that end after a position: at most limit of them (0 is 200).
func (a *API) AuditSeals(ctx context.Context, by By, after int64, limit int) (AuditSealList, error) {
	response, err := a.calls.ListAuditSeals(ctx, &ListAuditSealsParams{After: optional(after), Limit: optional(limit), MosaicActor: optional(by.Actor)})
	return answer[AuditSealList](response, err)
}

// AuditHead reads where the chain ends, as the gateway says.
func (a *API) AuditHead(ctx context.Context, by By) (AuditHead, error) {
	response, err := a.calls.GetAuditHead(ctx, &GetAuditHeadParams{MosaicActor: optional(by.Actor)})
	return answer[AuditHead](response, err)
}

// Audited is what a walk along the chain counted.
type Audited struct {
	Entries  int64 // sealed ones
	Seals    int64
	Unsealed int64
	Head     string // <last>:<hash>, computed; empty if there is no seal
}

// ChainBroken is where a chain does not hold: one sentence.
type ChainBroken struct{ Detail string }

func (c *ChainBroken) Error() string { return c.Detail }

func broken(format string, arguments ...any) error {
	return &ChainBroken{fmt.Sprintf(format, arguments...)}
}

var headForm = regexp.MustCompile(`^([1-9][0-9]{0,17}):([0-9a-f]{64})$`)

// VerifyAudit walks the whole chain and computes every hash itself, a page at a time. With heads that were kept elsewhere it also
// says whether the chain goes through them. A chain that does not hold is a *ChainBroken.
func (a *API) VerifyAudit(ctx context.Context, by By, heads ...string) (Audited, error) {
	walk := &chainWalk{api: a, by: by, heads: make(map[int64]string)}
	for _, head := range heads {
		parts := headForm.FindStringSubmatch(strings.TrimSpace(head))
		if parts == nil {
			return Audited{}, &Error{
				Status: 400, Code: ProblemCodeInvalid, Field: "head", Detail: fmt.Sprintf("%q is not a head; it is a position, a colon and 64 hex digits.", head),
				Example: "41:" + strings.Repeat("5f", 32),
			}
		}
		last, _ := strconv.ParseInt(parts[1], 10, 64) // the form holds
		if known, twice := walk.heads[last]; twice && known != parts[2] {
			return Audited{}, broken("Two heads are given for entry %d, and they differ.", last)
		}
		walk.heads[last] = parts[2]
	}
	err := walk.seals(ctx)
	return walk.counted, err
}

// chainWalk reads seals and entries side by side.
type chainWalk struct {
	api     *API
	by      By
	heads   map[int64]string // by position
	counted Audited

	page []AuditEntry // read and not yet walked over
	last int64        // the position walked to
}

// auditPage is how much is asked for at once; the gateway may send less.
const auditPage = 1000

func (w *chainWalk) seals(ctx context.Context) error {
	previous := strings.Repeat("0", 2*sha256.Size)
	for after, more := int64(0), true; more; {
		page, err := w.api.AuditSeals(ctx, w.by, after, auditPage)
		if err != nil {
			return err
		}
		for _, seal := range page.Seals {
			if err := w.seal(ctx, seal, previous); err != nil {
				return err
			}
			previous, after = seal.Hash, seal.Last
			w.counted.Seals++
			w.counted.Head = fmt.Sprintf("%d:%s", seal.Last, seal.Hash)
		}
		if more = page.Next != 0; more && page.Next != after {
			return broken("The seals read on after %d, but the last one shown ends at %d.", page.Next, after)
		}
	}
	for position, hash := range w.heads { // those walked past are taken out
		if position > w.last {
			return broken("The tail is cut off: the head %d:%s… was kept, and the chain ends at entry %d.", position, hash[:8], w.last)
		}
		return broken("The chain has no seal that ends at entry %d, which the head %d:%s… says.", position, position, hash[:8])
	}
	return w.rest(ctx)
}

// seal walks over the entries of one seal.
func (w *chainWalk) seal(ctx context.Context, seal AuditSeal, previous string) error {
	switch {
	case seal.First != w.last+1:
		return broken("The seal after entry %d begins with entry %d; those between, or their seal, were taken out.", w.last, seal.First)
	case seal.Last < seal.First:
		return broken("The seal that begins with entry %d ends before it, at %d.", seal.First, seal.Last)
	case seal.Previous != previous:
		return broken("The seal of entries %d to %d follows on %s…, and the seal before it is %s….", seal.First, seal.Last, cutHash(seal.Previous), cutHash(previous))
	}
	run := sha256.New()
	for w.last < seal.Last {
		entry, err := w.entry(ctx)
		if err != nil {
			return err
		}
		if entry == nil {
			return broken("Entry %d is missing: the seal of entries %d to %d covers it, and the audit ends before it.", w.last+1, seal.First, seal.Last)
		}
		addEntry(run, *entry)
		w.counted.Entries++
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "mosaic-audit-1\n%s\n%d-%d\n%s\n%x\n", seal.TenantID, seal.First, seal.Last, seal.Previous, run.Sum(nil)))
	if computed := hex.EncodeToString(sum[:]); computed != seal.Hash {
		return broken("The entries %d to %d are not what was sealed: they make %s…, and the seal says %s….", seal.First, seal.Last, computed[:8], cutHash(seal.Hash))
	}
	if kept, asked := w.heads[seal.Last]; asked && kept != seal.Hash {
		return broken("The chain was written anew: at entry %d the head that was kept is %s…, and the chain has %s….", seal.Last, kept[:8], cutHash(seal.Hash))
	}
	delete(w.heads, seal.Last)
	return nil
}

func addEntry(into hash.Hash, entry AuditEntry) {
	fmt.Fprintf(into, "%d %d\n%s\n", entry.Seq, len(entry.Text), entry.Text)
}

func cutHash(hash string) string { return hash[:min(8, len(hash))] }

// entry is the next one, which has to have the next position; nil is the end as it is now.
func (w *chainWalk) entry(ctx context.Context) (*AuditEntry, error) {
	if len(w.page) == 0 {
		page, err := w.api.AuditEntries(ctx, w.by, w.last, auditPage)
		if err != nil {
			return nil, err
		}
		if w.page = page.Entries; len(w.page) == 0 {
			return nil, nil
		}
	}
	entry := &w.page[0]
	w.page = w.page[1:]
	if entry.Seq != w.last+1 {
		return nil, broken("After entry %d comes entry %d; those between were taken out, or the order was changed.", w.last, entry.Seq)
	}
	w.last = entry.Seq
	return entry, nil
}

// rest counts what no seal covers yet.
func (w *chainWalk) rest(ctx context.Context) error {
	for {
		entry, err := w.entry(ctx)
		if err != nil || entry == nil {
			return err
		}
		w.counted.Unsealed++
	}
}
