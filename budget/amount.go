package budget

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Micro is how many micro-units make one unit: every amount is an int64 in micro-units with its unit beside it.
const Micro = 1_000_000

// maxDecimals is what a micro-unit can hold.
const maxDecimals = 6

// ParseAmount reads an amount as people type it into micro-units: digits, at most six decimals after a point, and an
// optional k (thousand, either case), M (million) or G (thousand million), such as 40k, 2M or 12.50. It has no sign, no
// separators and no unit. The error is one sentence that says what was read and what is accepted.
func ParseAmount(text string) (int64, error) {
	read := strings.TrimSpace(text)
	digits, scale := cutSuffix(read)
	whole, decimals, pointed := strings.Cut(digits, ".")
	if !isDigits(whole) || pointed && !isDigits(decimals) {
		return 0, notAnAmount(read)
	}
	if len(decimals) > maxDecimals {
		return 0, fmt.Errorf("%q has more than %d decimals, the smallest amount is 0.000001, such as 0.25 or 12.50", read, maxDecimals)
	}
	units, err := strconv.ParseUint(whole, 10, 63)
	if err != nil {
		return 0, tooLarge(read)
	}
	parts, err := strconv.ParseUint((decimals + "000000")[:maxDecimals], 10, 63)
	if err != nil {
		return 0, notAnAmount(read)
	}
	if units > (math.MaxInt64-parts)/Micro {
		return 0, tooLarge(read)
	}
	micros := units*Micro + parts
	if micros > uint64(math.MaxInt64)/scale {
		return 0, tooLarge(read)
	}
	return int64(micros * scale), nil
}

func cutSuffix(text string) (digits string, scale uint64) {
	if text == "" {
		return "", 1
	}
	last := len(text) - 1
	switch text[last] {
	case 'k', 'K':
		return text[:last], 1_000
	case 'M':
		return text[:last], 1_000_000
	case 'G':
		return text[:last], 1_000_000_000
	}
	return text, 1
}

func isDigits(text string) bool {
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return text != ""
}

func notAnAmount(read string) error {
	if strings.Contains(read, ",") {
		return fmt.Errorf("%q has a comma, write decimals with a point and thousands without separators, such as 12.50 or 40k", read)
	}
	return fmt.Errorf("%q is not an amount, write digits with at most %d decimals after a point and if you like k, M or G, such as 40k, 2M or 12.50", read, maxDecimals)
}

func tooLarge(read string) error {
	return fmt.Errorf("%q is too large, the largest amount is %dG, such as 40k, 2M or 12.50", read, math.MaxInt64/Micro/1_000_000_000)
}

// Format writes an amount exactly, as a person reads it: "4.2 credits", "1 token", "40k tokens", "2M tokens", "12.5%".
// From 10 000 up it shortens to k, M or G where three decimals show the amount exactly. ParseAmount reads the number back.
func Format(micros int64, unit string) string {
	return withUnit(number(micros), micros, unit)
}

// Short writes an amount for a glance: like Format, but cut (never rounded up) to two decimals and, from 10 000 up, to two
// decimals of k, M or G. What is left is never shown as more than it is.
func Short(micros int64, unit string) string {
	magnitude := absolute(micros)
	step := uint64(Micro / 100)
	for _, s := range suffixes {
		if magnitude >= shortened && magnitude >= s.scale {
			step = s.scale / 100
			break
		}
	}
	cut := int64(magnitude - magnitude%step)
	if micros < 0 {
		cut = -cut
	}
	return withUnit(number(cut), cut, unit)
}

// shortened is the amount from which a suffix is used.
const shortened = 10_000 * Micro

var suffixes = []struct {
	name  string
	scale uint64
}{
	{"G", 1_000_000_000 * Micro},
	{"M", 1_000_000 * Micro},
	{"k", 1_000 * Micro},
}

func number(micros int64) string {
	sign, magnitude := "", absolute(micros)
	if micros < 0 {
		sign = "-"
	}
	if magnitude >= shortened {
		for _, s := range suffixes {
			if magnitude >= s.scale && magnitude%(s.scale/1000) == 0 {
				return sign + decimal(magnitude/(s.scale/1000), 3) + s.name
			}
		}
	}
	return sign + decimal(magnitude, maxDecimals)
}

// decimal writes value / 10^places without trailing zeros.
func decimal(value uint64, places int) string {
	digits := fmt.Sprintf("%0*d", places+1, value)
	whole, fraction := digits[:len(digits)-places], strings.TrimRight(digits[len(digits)-places:], "0")
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}

func withUnit(number string, micros int64, unit string) string {
	switch {
	case unit == "":
		return number
	case unit == "percent":
		return number + "%"
	case absolute(micros) == Micro:
		return number + " " + strings.TrimSuffix(unit, "s")
	}
	return number + " " + unit
}

func absolute(micros int64) uint64 {
	if micros < 0 {
		return uint64(-(micros + 1)) + 1
	}
	return uint64(micros)
}
