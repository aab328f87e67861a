package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// promise is one sentence of the contract and how to see whether it is kept; an error says what was seen instead.
type promise struct {
	area, text string
	keep       func(context.Context, *trial) error
}

// promises lists them in the order they are tried. The first makes the identities that the others act for.
func promises() []promise {
	var all []promise
	for _, area := range [][]promise{people(), agents(), dispatches(), claims(), budgets(), readings(), board(), switches(), settings(), rules(), runs(), pages(), once(), failures(), rates(), log(), audit()} {
		all = append(all, area...)
	}
	return all
}

// chosen lists the promises of some areas, no area being all, and always the first.
func chosen(areas []string) []promise {
	all := promises()
	if len(areas) == 0 {
		return all
	}
	some := all[:1:1]
	for _, promise := range all[1:] {
		if slices.Contains(areas, promise.area) {
			some = append(some, promise)
		}
	}
	return some
}

// known refuses an area that no promise belongs to.
func known(areas []string) error {
	var all []string
	for _, promise := range promises() {
		if !slices.Contains(all, promise.area) {
			all = append(all, promise.area)
		}
	}
	for _, area := range areas {
		if !slices.Contains(all, area) {
			return fmt.Errorf("there is no area %q of promises: the areas are %s; for example --only claims,board", area, strings.Join(all, ", "))
		}
	}
	return nil
}

// notTried is why a promise could not be tried; that is no failure.
type notTried string

func (n notTried) Error() string { return string(n) }

// seen says what was seen instead of what was promised.
func seen(format string, arguments ...any) error { return fmt.Errorf(format, arguments...) }
