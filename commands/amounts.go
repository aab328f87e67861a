package commands

import (
	"fmt"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// units are the names a unit may be typed by.
var units = map[string]register.Unit{
	"messages": register.UnitMessages, "message": register.UnitMessages,
	"tokens": register.UnitTokens, "token": register.UnitTokens,
	"dollars": register.UnitDollars, "dollar": register.UnitDollars, "usd": register.UnitDollars,
	"credits": register.UnitCredits, "credit": register.UnitCredits,
	"compute-minutes": register.UnitComputeMinutes, "compute-minute": register.UnitComputeMinutes,
	"percent": register.UnitPercent, "%": register.UnitPercent,
}

// unitNames are the units as the doctrine writes them.
var unitNames = []string{"messages", "tokens", "dollars", "credits", "compute-minutes", "percent"}

func parseUnit(text string) (register.Unit, error) {
	typed := straightDashes(strings.ToLower(strings.TrimSpace(text)))
	if unit, known := units[typed]; known {
		return unit, nil
	}
	problem := fmt.Sprintf("%s is not a unit; units are %s.", read(text), listing(unitNames, "and"))
	if near := nearest(typed, unitNames); near != "" {
		problem += " Did you mean " + near + "?"
	}
	return "", fmt.Errorf("%s", problem)
}

// parseAmount reads an amount without a unit into micro-units.
func parseAmount(text string) (int64, error) {
	micros, err := budget.ParseAmount(text)
	if err == nil {
		return micros, nil
	}
	if strings.HasPrefix(straightDashes(text), "-") {
		return 0, fmt.Errorf("%s is less than nothing; an amount has no sign, such as 500, 40k or 12.50", read(text))
	}
	if number, unit, split := splitUnit(text); split && unit != "" {
		return 0, fmt.Errorf("%s has a unit; write the amount alone, such as %s, and the unit in its own place", read(text), number)
	}
	return 0, err
}

// parseEstimate reads an amount with or without its unit: 10, 10credits, "10 credits", 40ktokens.
func parseEstimate(text string) (register.EstimateAmount, error) {
	number, unit, split := splitUnit(text)
	if !split {
		return register.EstimateAmount{}, fmt.Errorf("%s is not an estimate; write an amount with or without its unit (%s), such as 10, 10credits or 40ktokens", read(text), listing(unitNames, "or"))
	}
	micros, err := budget.ParseAmount(number)
	return register.EstimateAmount{Micros: micros, Unit: unit}, err
}

// splitUnit parts an amount from the unit that may follow it; k, M and G belong to the amount where a unit or nothing follows.
func splitUnit(text string) (number string, unit register.Unit, ok bool) {
	text = strings.TrimSpace(text)
	end := len(text) - len(strings.TrimLeft(text, "0123456789.,"))
	if end == 0 {
		return "", "", false
	}
	for _, suffix := range []int{1, 0} {
		if end+suffix > len(text) || suffix == 1 && !strings.Contains("kKMG", text[end:end+1]) {
			continue
		}
		rest := straightDashes(strings.ToLower(strings.TrimSpace(text[end+suffix:])))
		if rest == "" {
			return text[:end+suffix], "", true
		}
		if unit, known := units[rest]; known {
			return text[:end+suffix], unit, true
		}
	}
	return "", "", false
}

// amount shows an amount exactly.
func amount(micros int64, unit register.Unit) string { return budget.Format(micros, string(unit)) }

// bare shows an amount without its unit, cut to two decimals, or to none where the unit has no parts: never more than there is.
func bare(micros int64, unit register.Unit) string {
	if unit == register.UnitTokens || unit == register.UnitMessages {
		micros -= micros % budget.Micro
	}
	return budget.Short(micros, "")
}

// amounts shows one amount a unit.
func amounts(list []register.Amount) string {
	shown := make([]string, len(list))
	for i, one := range list {
		shown[i] = amount(one.Micros, one.Unit)
	}
	return listing(shown, "and")
}

// listing joins words as a sentence does: a, b and c.
func listing(words []string, last string) string {
	switch len(words) {
	case 0:
		return ""
	case 1:
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " " + last + " " + words[len(words)-1]
}

// count shows a number with its noun: 1 dispatch, 2 dispatches.
func count(number int, one, many string) string {
	if number == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", number, many)
}
