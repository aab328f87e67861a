package budget

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the plot of the README anew")

// TestThePlotOfTheReadmeIsWhatTheRulesDo plays a window of 100 credits over 5 hours that is idle at first and then wanted by more
// than it can take, and draws what was used against the even spread.
func TestThePlotOfTheReadmeIsWhatTheRulesDo(t *testing.T) {
	t.Parallel()
	fleet := fleetOf(Subscription{ID: 1, Provider: "claude", Name: "claude", Windows: []Window{{
		ID: 10, Name: "5h", Unit: "credits", Limit: 100 * Micro, BurstPPM: DefaultBurstPPM, Since: start, Reset: start.Add(5 * time.Hour),
	}}})
	fleet.LimitBursts = true
	window := fleet.Window(10)
	var admitted []time.Time
	var used []string
	for minute := range 300 {
		now := start.Add(time.Duration(minute) * time.Minute)
		for id := range int64(20) {
			if minute < 90 {
				break
			}
			window.Recent = 0
			for _, at := range admitted {
				if at.After(window.RecentSince(now)) {
					window.Recent += Micro
				}
			}
			request := ask(int64(minute)*20+id+1, Micro)
			request.Exact = true
			decision := decide(t, request, fleet, now)
			if decision.Outcome != Admit {
				break
			}
			decision.Apply(fleet)
			admitted = append(admitted, now)
		}
		used = append(used, fmt.Sprintf("%d,%.1f", 60+minute*2, 260-float64(window.Expected())/Micro*2.2))
	}
	require.GreaterOrEqual(t, len(admitted), 97)

	plot := plotOf(strings.Join(used, " "))
	if *update {
		require.NoError(t, os.WriteFile("pace.svg", []byte(plot), 0o644))
	}
	committed, err := os.ReadFile("pace.svg")
	require.NoError(t, err)
	require.Equal(t, plot, string(committed), "draw it anew with: go test ./budget -run Plot -update")
}

func plotOf(used string) string {
	line := func(lift float64) string { return fmt.Sprintf("60,%.1f 660,%.1f", 260-lift*2.2, max(40, 40-lift*2.2)) }
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 300" font-family="sans-serif" font-size="12" fill="none" stroke-width="2">` + "\n")
	b.WriteString(`<title>Use of a window that is idle for 90 minutes and then saturated, against the even spread</title>` + "\n")
	b.WriteString(`<rect width="720" height="300" fill="#fff"/>` + "\n")
	b.WriteString(`<path d="M60 40H660M60 40V260H660" stroke="#888" stroke-width="1"/>` + "\n")
	fmt.Fprintf(&b, `<polyline points="%s" stroke="#2a7"/>`+"\n", line(0))
	b.WriteString(`<path d="M60 249L630 40H660" stroke="#c80" stroke-dasharray="6 4"/>` + "\n")
	fmt.Fprintf(&b, `<polyline points="%s" stroke="#06c"/>`+"\n", used)
	for _, label := range []struct {
		x, y         int
		colour, text string
	}{
		{60, 30, "#555", "L'"},
		{52, 276, "#555", "t0"},
		{655, 276, "#555", "T"},
		{500, 130, "#2a7", "a(t)"},
		{440, 90, "#c80", "a(t) + b"},
		{330, 235, "#06c", "used: at most twice the even rate until it meets a(t) + b"},
	} {
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", label.x, label.y, label.colour, label.text)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
