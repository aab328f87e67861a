package work_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func TestOnlyACapThatIsReachedStopsACommandThatUsedUpItsReservation(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.window(t, "main", "credits", 500)
	b.dispatch(t, "Add a health check")
	line := &asked{path: "/extend"}
	b.Break(func(w http.ResponseWriter, r *http.Request, forward http.HandlerFunc) {
		line.carry(w, r, func(w http.ResponseWriter, r *http.Request) {
			if len(line.answers()) >= 3 || !strings.HasSuffix(r.URL.Path, "/extend") {
				forward(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"type": "/problems/invalid", "title": "x", "status": 422, "code": "invalid", "detail": "Something else is wrong."}`))
		})
	})
	b.work(t, meter+`meter "$(credits 5000000)"
until grep -q 7500000 "$MOSAIC_RESERVED_FILE"; do sleep 0.02; done
`+result(`{"actuals": [{"unit": "credits", "micros": 5000000}]}`))
	done := b.reaches(t, "D-1", register.DispatchStateDone)
	require.Empty(t, done.Failure)
	answers := line.answers()
	require.Equal(t, []int{422, 422, 422, 200}, answers[:4], "it goes on, and asks until it is answered")
}
