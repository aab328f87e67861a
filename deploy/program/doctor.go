package program

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/bot"
)

type doctorCommand struct {
	botSettings
	JSON bool `help:"Print the findings as JSON." name:"json"`
}

// Run prints what it finds and ends with 1 if anything is to be mended.
func (c *doctorCommand) Run(ctx context.Context, program *program) error {
	options, err := c.options(ctx, program)
	if err != nil {
		return err
	}
	findings := bot.Examine(ctx, options)
	if c.JSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(findings); err != nil {
			return fmt.Errorf("printing the findings: %w", err)
		}
	} else {
		printFindings(os.Stdout, findings)
	}
	for _, finding := range findings {
		if finding.State == bot.PartAmiss {
			return exitCode(1)
		}
	}
	return nil
}

// printFindings prints a line a part, and below one that is not well how it is mended.
func printFindings(out io.Writer, findings []bot.Finding) {
	signs := map[string]string{bot.PartWell: "OK ", bot.PartAmiss: "FIX", bot.PartUnknown: "-  "}
	amiss := 0
	for _, finding := range findings {
		fmt.Fprintf(out, "%s  %-13s  %s\n", signs[finding.State], finding.Part, finding.Said)
		if finding.State == bot.PartAmiss {
			amiss++
			fmt.Fprintf(out, "     %-13s  -> %s\n", "", finding.Fix)
		}
	}
	switch amiss {
	case 0:
		fmt.Fprintln(out, "\nNothing needs to be mended.")
	case 1:
		fmt.Fprintln(out, "\n1 thing needs to be mended.")
	default:
		fmt.Fprintf(out, "\n%d things need to be mended, the first first: others may follow from it.\n", amiss)
	}
}
