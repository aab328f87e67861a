package conformance

import (
	"context"
	"fmt"
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

// notTried is why a promise could not be tried; that is no failure.
type notTried string

func (n notTried) Error() string { return string(n) }

// seen says what was seen instead of what was promised.
func seen(format string, arguments ...any) error { return fmt.Errorf(format, arguments...) }
