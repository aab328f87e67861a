package commands

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// explainTable shows what each try needed, what room there was, who stood ahead and when it could start, in columns narrow enough for
// a phone. What cannot be told in numbers stands in the list below it alone.
func explainTable(d register.Dispatch, now time.Time) string {
	head := []string{"", "needs", "room", "left", "ahead", "start"}
	var rows [][]string
	unit := register.Unit("")
	for _, a := range d.Attempts {
		if a.RoomMicros == nil {
			continue
		}
		if unit != "" && unit != a.Estimate.Unit {
			unit = "mixed"
		} else if unit == "" {
			unit = a.Estimate.Unit
		}
		rows = append(rows, attemptCells(a, now))
	}
	if len(rows) < 2 {
		return "" // one try is said better in words
	}
	if unit != "mixed" {
		head[0] = string(unit)
	} else {
		for i, at := 0, 0; i < len(d.Attempts); i++ {
			if a := d.Attempts[i]; a.RoomMicros != nil {
				rows[at][1] += " " + unitInCell(a.Estimate.Unit)
				at++
			}
		}
	}
	return "\n" + fence + "\n" + aligned(append([][]string{head}, rows...)) + fence + "\n"
}

// waitInCell has a wait take as little of a phone's width as it can: "1 h 17 min" is 1h17m.
var waitInCell = strings.NewReplacer(" h", "h", " min", "m", " d", "d", " s", "s", " ", "")

func unitInCell(unit register.Unit) string {
	switch unit {
	case register.UnitCredits:
		return "cr"
	case register.UnitTokens:
		return "tok"
	case register.UnitMessages:
		return "msg"
	case register.UnitComputeMinutes:
		return "min"
	case register.UnitDollars:
		return "$"
	case register.UnitPercent:
		return "%"
	}
	return string(unit)
}

func attemptCells(a register.RoutingAttempt, now time.Time) []string {
	name := "✗ " + a.Model
	if a.Verdict == register.RoutingAttemptVerdictAdmitted {
		name = "✓ " + a.Model
	}
	if a.Subscription != "" && a.Subscription != a.Provider {
		name += " " + a.Subscription
	}
	cells := []string{name, budget.Short(a.Estimate.Micros, ""), budget.Short(max(0, *a.RoomMicros), ""), "", "", "never"}
	if a.Headroom > 0 {
		cells[3] = fmt.Sprintf("%.1fx", a.Headroom)
	}
	if a.Ahead > 0 {
		cells[4] = fmt.Sprintf("%d: %s", a.Ahead, budget.Short(a.AheadMicros, ""))
	}
	if !a.EarliestStart.IsZero() {
		cells[5] = waitInCell.Replace(strings.TrimPrefix(away(a.EarliestStart, now), "in "))
		if !a.EarliestStart.After(now) {
			cells[5] = "now"
		}
	}
	return cells
}

// aligned writes rows in columns, the first to the left and the others to the right; a column without any entry is left out.
func aligned(rows [][]string) string {
	widths := make([]int, len(rows[0]))
	for column := range widths {
		used := column == 0
		for _, row := range rows[1:] {
			used = used || row[column] != ""
		}
		for _, row := range rows {
			if used {
				widths[column] = max(widths[column], utf8.RuneCountInString(row[column]))
			}
		}
	}
	var out strings.Builder
	for _, row := range rows {
		line := row[0] + strings.Repeat(" ", widths[0]-utf8.RuneCountInString(row[0]))
		for column, cell := range row[1:] {
			if width := widths[column+1]; width > 0 {
				line += strings.Repeat(" ", 1+width-utf8.RuneCountInString(cell)) + cell
			}
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}
