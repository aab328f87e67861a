package fleet

import (
	"fmt"
	"strconv"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
)

const (
	// DefaultContextCap is how many tokens of context one session of a run may have, unless it is set otherwise.
	DefaultContextCap = 200_000
	// bytesPerToken estimates the tokens of a brief.
	bytesPerToken = 4
)

// fits refuses work whose sessions would need more context than one may have.
func (t *transaction) fits(ask Ask) error {
	limit := t.ContextCap
	brief := int64(len(ask.Brief)+bytesPerToken-1) / bytesPerToken
	over := ""
	switch {
	case ask.ContextTokens > limit:
		over = fmt.Sprintf("A session of this run would need %s of context", tokens(ask.ContextTokens))
	case brief > limit:
		over = fmt.Sprintf("The brief alone takes about %s of context", tokens(brief))
	default:
		return nil
	}
	return &Error{
		Code: CodeContextCap, Field: "context_tokens", Example: strconv.FormatInt(limit*3/4, 10),
		Detail:   fmt.Sprintf("%s, and at most %s fit: a session that does not fit its context loses the thread.", over, tokens(limit)),
		NextStep: "Split the work into dispatches that each fit, and let one wait for the other.",
	}
}

func tokens(number int64) string { return budget.Format(number*budget.Micro, "tokens") }
