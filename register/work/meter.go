package work

import (
	"fmt"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// largest is the largest amount the register takes, in micro-units.
const largest = 1_000_000_000_000_000_000

// readMeter is what the result file says was spent so far. The command may be writing it just now, so what cannot be used is no
// fault of the run: it is left out until it can. ended says that the command has given its outcome.
func readMeter(path string) (spent []register.Amount, ended bool, err error) {
	report := readReport(path)
	if report.Unmetered != "" && len(report.Actuals) == 0 {
		return nil, report.Outcome != "", nil
	}
	seen := make(map[register.Unit]bool)
	for _, amount := range report.Actuals {
		switch {
		case !amount.Unit.Valid():
			err = fmt.Errorf("%q is no unit", amount.Unit)
		case amount.Micros < 0 || amount.Micros > largest:
			err = fmt.Errorf("%d micro-units of %s are no spend", amount.Micros, amount.Unit)
		case seen[amount.Unit]:
			err = fmt.Errorf("%s are given twice", amount.Unit)
		}
		if err != nil {
			return nil, report.Outcome != "", err
		}
		seen[amount.Unit] = true
	}
	return report.Actuals, report.Outcome != "", nil
}
