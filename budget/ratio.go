package budget

// Ratio is how much of a window of percent a token takes, as readings have shown. Tokens are never converted into percent but by it, and
// what it says is an estimate until the next reading. The zero Ratio is not known.
type Ratio struct {
	Points int64 // what the readings moved by, in micro-units of percent
	Tokens int64 // what the ledger knows of between them, in micro-units
	Pairs  int
}

// Pair is two believed readings of one epoch, one after the other.
type Pair struct {
	Points int64 // by how much they differ
	Tokens int64 // what was booked between them
	Busy   bool  // something ran then, whose tokens may be booked only when it ends
}

// A provider shows whole points, so that a sum of moves is off by up to one of them.
const (
	onePoint    = million
	leastPoints = 5 * onePoint // makes that a fifth at most
	leastPairs  = 3
	mostPoints  = 50 * onePoint // older pairs say nothing more, and the ratio drifts with the models that are used
)

// LearnRatio learns from pairs, the newest first. Tokens are booked when a run ends and points move while it runs: what moves while
// something runs and nothing is booked counts to the next tokens. What moves while nothing runs and nothing is booked was used by
// somebody else, and says nothing.
func LearnRatio(pairs []Pair) Ratio {
	var sum Ratio
	var points, tokens int64 // of a stretch that ends with tokens; moves before them, while something ran, are theirs
	ends := false
	for _, pair := range pairs {
		switch {
		case pair.Points < 0:
			ends = false // it was corrected in between
		case pair.Tokens > 0:
			sum.take(points, tokens)
			points, tokens, ends = pair.Points, pair.Tokens, true
		case ends && pair.Busy:
			points = add(points, pair.Points)
		default:
			ends = false
		}
		if sum.Points >= mostPoints {
			return sum
		}
	}
	sum.take(points, tokens)
	return sum
}

func (r *Ratio) take(points, tokens int64) {
	if tokens > 0 {
		r.Points, r.Tokens, r.Pairs = add(r.Points, points), add(r.Tokens, tokens), r.Pairs+1
	}
}

// Known says whether there is enough to go by.
func (r Ratio) Known() bool {
	return r.Pairs >= leastPairs && r.Points >= leastPoints && r.Tokens > 0
}

// Mean is what tokens take of the window, rounded up.
func (r Ratio) Mean(tokens int64) int64 { return scaleUp(max(0, tokens), r.Points, r.Tokens) }

// Upper is the same if the readings hid a whole point.
func (r Ratio) Upper(tokens int64) int64 {
	return scaleUp(max(0, tokens), add(r.Points, onePoint), r.Tokens)
}
