package budget

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// drifts are ways in which costs change over a stream of runs, as factors on a cost whose logarithm is normal.
var drifts = map[string]func(i int) float64{
	"rising to four times":   func(i int) float64 { return math.Pow(4, float64(i)/1500) },
	"falling to a quarter":   func(i int) float64 { return math.Pow(4, -float64(i)/1500) },
	"in steps":               func(i int) float64 { return []float64{1, 2.5, 0.8, 1.6}[i/400%4] },
	"in waves":               func(i int) float64 { return math.Exp(0.6 * math.Sin(2*math.Pi*float64(i)/600)) },
	"eighteen times at once": func(i int) float64 { return []float64{1, 18}[min(1, i/700)] },
}

// pinball is the loss by which a bound for 9 of 10 is judged: coverage alone corrects itself and shows little.
func pinball(cost, bound float64) float64 {
	if cost > bound {
		return 0.9 * (cost - bound)
	}
	return 0.1 * (bound - cost)
}

func TestTheBoundCoversNineOfTenHoweverCostsDriftAndBeatsAStaticPercentile(t *testing.T) {
	t.Parallel()
	const runs, warm = 1500, remembered
	for name, drift := range drifts {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(seed, 7))
				var key, kind, model Actuals
				prior := Prior{Mean: 3 * Micro}
				var first []float64
				var missed int
				var loss, static float64
				now := start
				for i := range runs {
					now = now.Add(time.Duration(random.ExpFloat64() * float64(20*time.Minute)))
					cost := drift(i) * 4 * Micro * math.Exp(0.7*random.NormFloat64())
					estimate := Expect(prior, &key, &kind, &model)
					requireFinite(t, estimate)
					if cost > float64(estimate.Upper) {
						missed++
					}
					if i < warm {
						first = append(first, cost)
					} else {
						slices.Sort(first)
						loss += pinball(cost, float64(estimate.Upper))
						static += pinball(cost, first[warm*9/10])
					}
					Learn(Actual{At: now, Micros: int64(cost)}, prior, &key, &kind, &model)
				}
				covered := 1 - float64(missed)/runs
				require.GreaterOrEqual(t, covered, 0.88)
				require.LessOrEqual(t, covered, 0.92)
				require.Less(t, loss, static)
			})
		}
	}
}

func requireFinite(t require.TestingT, estimate Learned) {
	require.GreaterOrEqual(t, estimate.Mean, int64(1))
	require.GreaterOrEqual(t, estimate.Upper, estimate.Mean)
	require.False(t, math.IsNaN(estimate.Variance) || math.IsInf(estimate.Variance, 0) || estimate.Variance < 0, "%v", estimate.Variance)
	require.False(t, math.IsNaN(estimate.Runs) || math.IsInf(estimate.Runs, 0))
}

func TestAnEstimateIsFiniteWhateverHasBeenSeen(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prior := Prior{Mean: rapid.Int64().Draw(t, "prior"), Sigma: rapid.Float64Range(0, 5).Draw(t, "sigma")}
		var key, model Actuals
		now := start
		for range rapid.IntRange(0, 40).Draw(t, "runs") {
			now = now.Add(time.Duration(rapid.Int64Range(-int64(time.Hour), int64(4000*24*time.Hour)).Draw(t, "later")))
			Learn(Actual{At: now, Micros: rapid.Int64().Draw(t, "cost"), Cut: rapid.Bool().Draw(t, "cut")}, prior, &key, nil, &model)
			requireFinite(t, Expect(prior, &key, nil, &model))
		}
	})
}

func TestWithoutActualsThePriorSpeaksAndSaysSo(t *testing.T) {
	t.Parallel()
	estimate := Expect(Prior{Mean: 10 * Micro}, &Actuals{}, nil)
	require.Equal(t, int64(10*Micro), estimate.Mean)
	require.InDelta(t, 21.85*Micro, float64(estimate.Upper), 0.01*Micro, "exp(1.2816 - 1/2) times the mean")
	require.Equal(t, NoConfidence, estimate.Confidence)
	require.Zero(t, estimate.Runs)
	require.Equal(t, "about 10 credits, 9 in 10 stay within 21.84 credits (confidence none: no run seen yet)", estimate.Describe("credits"))
}

func TestAnEstimateGrowsSurerWithRuns(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	var key Actuals
	seen := map[int]Confidence{}
	for i := range 61 {
		seen[i] = Expect(Prior{Mean: Micro}, &key).Confidence
		Learn(Actual{At: start, Micros: int64(5 * Micro * math.Exp(0.5*random.NormFloat64()))}, Prior{Mean: Micro}, &key)
	}
	require.Equal(t, []Confidence{NoConfidence, LowConfidence, MediumConfidence, HighConfidence}, []Confidence{seen[0], seen[1], seen[20], seen[60]})
	estimate := Expect(Prior{Mean: Micro}, &key)
	require.InDelta(t, 5.67*Micro, float64(estimate.Mean), 1.2*Micro, "exp(0.5^2/2) times 5")
	require.InDelta(t, 3, math.Sqrt(estimate.Variance)/Micro, 1.2)
	require.Regexp(t, `^about [0-9.]+ credits, 9 in 10 stay within [0-9.]+ credits \(confidence high: [0-9]+ runs\)$`, estimate.Describe("credits"))
}

func TestAKeyOfItsOwnOverrulesTheWiderOneAsItLearns(t *testing.T) {
	t.Parallel()
	var key, model Actuals
	for range 100 {
		Learn(Actual{At: start, Micros: 100 * Micro}, Prior{Mean: Micro}, &model)
	}
	before := Expect(Prior{Mean: Micro}, &key, &model)
	require.InDelta(t, 71*Micro, float64(before.Mean), Micro, "the model speaks for a key that has seen nothing")
	require.Equal(t, HighConfidence, before.Confidence)
	Learn(Actual{At: start, Micros: 2 * Micro}, Prior{Mean: Micro}, &key, &model)
	once := Expect(Prior{Mean: Micro}, &key, &model)
	require.Less(t, once.Mean, before.Mean)
	require.Greater(t, once.Mean, int64(40*Micro), "one run does not overrule a hundred")
	require.Equal(t, MediumConfidence, once.Confidence, "it rests on others' runs")
	for range 60 {
		Learn(Actual{At: start, Micros: 2 * Micro}, Prior{Mean: Micro}, &key, &model)
	}
	require.InDelta(t, 2*Micro, float64(Expect(Prior{Mean: Micro}, &key, &model).Mean), Micro)
}

func TestRecentRunsCountMore(t *testing.T) {
	t.Parallel()
	var key Actuals
	for range 50 {
		Learn(Actual{At: start, Micros: 10 * Micro}, Prior{Mean: 10 * Micro}, &key)
	}
	later := start.Add(4 * halfLife)
	for range 10 {
		Learn(Actual{At: later, Micros: 40 * Micro}, Prior{Mean: 10 * Micro}, &key)
	}
	seen := key.look()
	require.InDelta(t, (50*10/16.+10*40)/(50/16.+10)*Micro, math.Exp(seen.mean), 1, "each half-life halves what a run counts")
	require.InDelta(t, math.Pow(50/16.+10, 2)/(50/256.+10), seen.runs, 1e-9, "Kish")
}

// TestRunsThatAreCutAreNotTakenForCheap is a fleet whose runs cost 100, held at a bound that begins at 1: each is stopped
// there and shows 1. A bound that takes what it sees stays there for good.
func TestRunsThatAreCutAreNotTakenForCheap(t *testing.T) {
	t.Parallel()
	var key Actuals
	prior := Prior{Mean: Micro / 2}
	var after int
	for after = 0; ; after++ {
		bound := Expect(prior, &key).Upper
		if bound >= 100*Micro {
			break
		}
		require.Less(t, after, 60, "still held at %d", bound)
		Learn(Actual{At: start, Micros: bound, Cut: true}, prior, &key)
	}
}

func TestTheWeightOfACutRunGoesToDearerOnes(t *testing.T) {
	t.Parallel()
	key := Actuals{Runs: []Actual{{At: start, Micros: 10}, {At: start, Micros: 20, Cut: true}, {At: start, Micros: 30}, {At: start, Micros: 40}}}
	runs := key.weigh()
	redistribute(runs, 4)
	require.Equal(t, []float64{1, 0, 1.5, 1.5}, []float64{runs[0].weight, runs[1].weight, runs[2].weight, runs[3].weight})
}

func TestTheBoundIsTheConformalRank(t *testing.T) {
	t.Parallel()
	for n, rank := range map[int]int{9: 9, 10: 10, 19: 18, 39: 36, 99: 90} {
		var key Actuals
		for i := range n {
			key.remember(Actual{At: start, Micros: int64(i+1) * Micro})
		}
		require.Equal(t, int64(rank*Micro), micros(key.look().bound), "ceil(0.9 (n+1)) of %d", n)
	}
	few := Actuals{Runs: []Actual{{At: start, Micros: 4 * Micro}, {At: start, Micros: 8 * Micro}}}
	require.Greater(t, micros(few.look().bound), int64(8*Micro), "two runs cannot show what 9 of 10 cost")
}

func TestOnlyTheLastRunsAreRemembered(t *testing.T) {
	t.Parallel()
	var key Actuals
	for i := range 1000 {
		Learn(Actual{At: start, Micros: int64(i)}, Prior{}, &key)
	}
	require.Len(t, key.Runs, remembered)
	require.Equal(t, int64(744), key.Runs[0].Micros)
	require.Equal(t, int64(999), key.Runs[remembered-1].Micros)
}

func TestWhatWasLearnedSurvivesStorage(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 3))
	var key Actuals
	for i := range 300 {
		Learn(Actual{At: start.Add(time.Duration(i) * time.Minute), Micros: int64(Micro * random.ExpFloat64()), Cut: i%17 == 0}, Prior{Mean: Micro}, &key)
	}
	stored, err := json.Marshal(key)
	require.NoError(t, err)
	var read Actuals
	require.NoError(t, json.Unmarshal(stored, &read))
	require.Equal(t, Expect(Prior{Mean: Micro}, &key), Expect(Prior{Mean: Micro}, &read))
}

func TestAKeyBacksOffToItsKindAndItsModel(t *testing.T) {
	t.Parallel()
	require.Equal(t, []Key{{"coder", "fix", "opus"}, {"", "fix", "opus"}, {"", "", "opus"}}, Key{"coder", "fix", "opus"}.BackOff())
	require.Equal(t, []Key{{"coder", "", "opus"}, {"", "", "opus"}}, Key{Role: "coder", Model: "opus"}.BackOff(), "no run joins a key twice")
}

func BenchmarkExpect(b *testing.B) {
	random := rand.New(rand.NewPCG(3, 3))
	var key, kind, model Actuals
	for range remembered {
		Learn(Actual{At: start, Micros: int64(Micro * random.ExpFloat64())}, Prior{Mean: Micro}, &key, &kind, &model)
	}
	for b.Loop() {
		key.seen, kind.seen, model.seen = nil, nil, nil // as it is after loading
		Expect(Prior{Mean: Micro}, &key, &kind, &model)
	}
}
