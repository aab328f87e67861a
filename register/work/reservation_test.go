package work_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// meter is a script's function that says what was spent so far, whole at any moment it is read.
const meter = `meter() { printf '{"actuals": [%s]}' "$1" > "$here/spent"; mv "$here/spent" "$MOSAIC_RESULT_FILE"; }
credits() { printf '{"unit": "credits", "micros": %s}' "$1"; }
tokens() { printf '{"unit": "tokens", "micros": %s}' "$1"; }
`

const million = int64(1_000_000)

// window sets a window of claude's that paces nearly all of its limit by now.
func (b *bundle) window(t *testing.T, name string, unit register.Unit, limit int64) {
	t.Helper()
	now := time.Now()
	b.send(t, register.SetBudget(register.BudgetSetRequest{
		Provider: "claude", Window: name, Unit: unit, LimitMicros: limit * million, Since: now.Add(-1000 * time.Minute), ResetAt: now.Add(10 * time.Minute),
	}), nil)
}

// asked counts the answers to what a worker asked, by status.
type asked struct {
	path  string
	mutex sync.Mutex
	seen  []int
}

func (a *asked) carry(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
	if !strings.HasSuffix(r.URL.Path, a.path) {
		forward(w, r)
		return
	}
	answer := httptest.NewRecorder()
	forward(answer, r)
	a.mutex.Lock()
	a.seen = append(a.seen, answer.Code)
	a.mutex.Unlock()
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

func (a *asked) answers() []int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return append([]int{}, a.seen...)
}

func TestSpendIsStreamedWhileTheCommandRuns(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, meter+`meter "$(credits 1500000), $(tokens 900000000)"
`+waiting+`meter "$(credits 2000000)"
until [ -e "$here/end" ]; do sleep 0.02; done
printf 'no JSON' > "$MOSAIC_RESULT_FILE"`)
	both := b.becomes(t, "D-1", func(d register.Dispatch) bool { return len(d.Metered) == 2 })
	require.Equal(t, []register.Amount{{Unit: "credits", Micros: 1_500_000}, {Unit: "tokens", Micros: 900_000_000}}, both.Metered)
	worker.goOn(t)
	b.becomes(t, "D-1", func(d register.Dispatch) bool { return d.Metered[0].Micros == 2_000_000 })
	require.NoError(t, os.WriteFile(filepath.Join(worker.here, "end"), nil, 0o600))
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, []register.Amount{{Unit: "credits", Micros: 2_000_000}, {Unit: "tokens", Micros: 900_000_000}}, done.Actuals, "what was metered is spent, although the file was spoilt")
	require.Empty(t, done.Unmetered)
}

func TestAMeterThatCannotBeUsedStopsNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, meter+`meter '{"unit": "bananas", "micros": 1}'; sleep 1.5; meter '{"unit": "credits", "micros": -1}'; sleep 1.5; meter '{"unit":'; sleep 1.5; meter "$(credits 1)"
`+waiting+result(spent4))
	b.becomes(t, "D-1", func(d register.Dispatch) bool { return len(d.Metered) == 1 })
	worker.goOn(t)
	require.Equal(t, int64(4_000_000), b.reaches(t, "D-1", register.DispatchStateDone).Actuals[0].Micros)
}

func TestAtFourFifthsOfItsReservationTheWorkerAsksForMore(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.window(t, "main", "credits", 500)
	b.window(t, "five", "tokens", 1000)
	var dispatch register.Dispatch
	b.send(t, register.CreateDispatch(register.DispatchRequest{Role: "coder", Brief: "x", Model: "opus", Estimate: []register.EstimateAmount{
		{Unit: "credits", Micros: 5 * million}, {Unit: "tokens", Micros: 100 * million},
	}}), &dispatch)
	require.Len(t, dispatch.Holds, 2)
	line := &asked{path: "/extend"}
	b.Break(line.carry)
	worker := b.work(t, meter+`cp "$MOSAIC_RESERVED_FILE" "$here/first"
meter "$(credits 3999999), $(tokens 79999999)"
`+waiting+`meter "$(credits 3999999), $(tokens 80000000)"
until grep -q 150000000 "$MOSAIC_RESERVED_FILE"; do sleep 0.02; done
`+result(`{"actuals": [{"unit": "credits", "micros": 4000000}, {"unit": "tokens", "micros": 149000000}]}`))
	b.becomes(t, "D-1", func(d register.Dispatch) bool { return len(d.Metered) == 2 })
	require.Empty(t, line.answers(), "four fifths are not spent yet")
	worker.goOn(t)
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, int64(149*million), done.Actuals[1].Micros)
	require.Equal(t, []int{200}, line.answers())
	var first struct{ Reserved []register.Amount }
	content, err := os.ReadFile(filepath.Join(worker.here, "first"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &first))
	require.Equal(t, []register.Amount{{Unit: "credits", Micros: 5 * million}, {Unit: "tokens", Micros: 100 * million}}, first.Reserved)
}

func TestACommandIsStoppedOnlyWhenItsReservationIsUsedUpAndMoreWasRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.window(t, "main", "credits", 6)
	b.dispatch(t, "Add a health check")
	line := &asked{path: "/extend"}
	b.Break(line.carry)
	worker := b.work(t, meter+`echo $$ > "$here/command"; echo kept > "$MOSAIC_RUN_DIRECTORY/notes"
meter "$(credits 4000000)"
`+waiting+`meter "$(credits 4999999)"
until [ -e "$here/end" ]; do sleep 0.02; done
meter "$(credits 5000000)"
trap '`+strings.ReplaceAll(`printf "{\"outcome\": \"done\", \"actuals\": [{\"unit\": \"credits\", \"micros\": 5100000}]}" > "$MOSAIC_RESULT_FILE"; exit 0`, "'", "")+`' TERM
while :; do sleep 0.02; done`)
	require.Eventually(t, func() bool { return len(line.answers()) > 0 }, patience, glance)
	worker.goOn(t)
	b.becomes(t, "D-1", func(d register.Dispatch) bool { return len(d.Metered) == 1 && d.Metered[0].Micros == 4_999_999 })
	require.Equal(t, []int{409}, line.answers(), "it is asked for once")
	require.Equal(t, register.DispatchStateRunning, b.show(t, "D-1").State)
	require.NoError(t, os.WriteFile(filepath.Join(worker.here, "end"), nil, 0o600))

	failed := b.reaches(t, "D-1", register.DispatchStateFailed)
	require.Equal(t, []int{409, 409}, line.answers(), "and once more when it is used up")
	require.Equal(t, register.DispatchFailureBudget, failed.Failure)
	require.Contains(t, failed.Result.Summary, "The command was stopped: what was reserved is used up, and more was refused: The window main of claude has 1 credit left")
	require.Equal(t, int64(5_100_000), failed.Actuals[0].Micros)
	require.Equal(t, int64(5_100_000), b.committed(t))
	require.FileExists(t, filepath.Join(failed.Result.Reference, "notes"), "its folder is kept")
	ends(t, worker.number(t, "command"))
	require.NoError(t, worker.stop(t))
	require.Equal(t, 1, b.show(t, "D-1").Attempt, "nothing retries by itself")
}

func TestACommandThatHasGivenItsOutcomeIsNotStoppedForItsSpend(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.window(t, "main", "credits", 6)
	b.dispatch(t, "Add a health check")
	worker := b.work(t, result(`{"outcome": "done", "actuals": [{"unit": "credits", "micros": 9000000}]}`)+waiting)
	b.becomes(t, "D-1", func(d register.Dispatch) bool { return len(d.Metered) == 1 })
	require.Never(t, func() bool { return b.show(t, "D-1").State != register.DispatchStateRunning }, 2500*time.Millisecond, 100*time.Millisecond)
	worker.goOn(t)
	require.Equal(t, int64(9_000_000), b.reaches(t, "D-1", register.DispatchStateDone).Actuals[0].Micros)
}

func TestACommandWhoseTTLEndsIsStoppedAndLeftToTheRegister(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.budget(t)
	b.dispatch(t, "Add a health check")
	options := b.options(t, meter+`[ "$(basename "$MOSAIC_RUN_DIRECTORY")" = D-1-1 ] || exit 0
meter "$(credits 1000000)"
`+family)
	options.TTL = 5 * time.Second
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		if strings.HasSuffix(r.URL.Path, "/heartbeat") {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		forward(w, r)
	})
	began := time.Now()
	worker := start(t, options)
	worker.familyRuns(t)
	worker.familyEnds(t)
	require.GreaterOrEqual(t, time.Since(began), 5*time.Second, "it goes on while the gateway may still come back in time")
	b.Mend()
	again := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Equal(t, 2, again.Attempt, "the register put it through the gate again")
	require.FileExists(t, filepath.Join(options.Directory, "D-1-1", "output.log"))
}
