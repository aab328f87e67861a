package conformance

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Result is what came of one promise.
type Result struct {
	Area, Promise string
	Seen          string // instead of what was promised; empty if it was kept or not tried
	NotTried      string // why
}

// Kept says whether the promise was tried and kept.
func (r Result) Kept() bool { return r.Seen == "" && r.NotTried == "" }

// Report is what came of every promise.
type Report struct {
	Gateway string
	Results []Result
	Left    []string // what the run could not take back
}

// Broken lists the promises that were not kept.
func (r *Report) Broken() []Result {
	var broken []Result
	for _, result := range r.Results {
		if result.Seen != "" {
			broken = append(broken, result)
		}
	}
	return broken
}

// Write prints the report as a table, with one line that sums it up.
func (r *Report) Write(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "AREA\tPROMISE\tSEEN\n")
	kept, untried := 0, 0
	for _, result := range r.Results {
		verdict := "ok"
		switch {
		case result.Seen != "":
			verdict = "BROKEN: " + oneLine(result.Seen)
		case result.NotTried != "":
			untried++
			verdict = "not tried: " + result.NotTried
		default:
			kept++
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", result.Area, result.Promise, verdict)
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the table: %w", err)
	}
	for _, left := range r.Left {
		fmt.Fprintf(out, "left behind: %s\n", oneLine(left))
	}
	_, err := fmt.Fprintf(out, "%s: %d kept, %d broken, %d not tried\n", r.Gateway, kept, len(r.Broken()), untried)
	if err != nil {
		return fmt.Errorf("printing the sum: %w", err)
	}
	return nil
}

// widest bounds what is quoted of an answer.
const widest = 400

func oneLine(text string) string {
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > widest {
		return string(runes[:widest-1]) + "…"
	}
	return string(runes)
}
