package gateway

import (
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
)

// inWords says in words what a pattern of the contract takes, and shows one.
type inWords struct{ words, example string }

var patterns = map[string]inWords{
	`^[A-Za-z0-9_.-]{1,64}$`:                               {"letters, digits, dots, dashes and underscores, at most 64", "coder-1"},
	`^[a-z0-9][a-z0-9_.-]{0,63}$`:                          {"small letters, digits, dots, dashes and underscores, at most 64, the first a letter or a digit", "claude"},
	`^[A-Za-z0-9_.@-]{1,64}$`:                              {"letters, digits, dots, dashes, underscores and @, at most 64", "team-a"},
	`^[A-Za-z0-9_.:/-]{1,64}$`:                             {"letters, digits, dots, dashes, underscores, colons and slashes, at most 64", "opus"},
	`^[a-z0-9][a-z0-9_.-]{0,63}(/[A-Za-z0-9_.@-]{1,64})?$`: {"a provider, or a provider and a subscription after a slash", "claude/team-a"},
	`^[A-Za-z0-9_.-]{1,64}-[1-9][0-9]{0,8}$`:               {"a name that ends with a dash and a number", "coder-1"},
	`^[Dd]-[1-9][0-9]{0,17}$`:                              {"D- and a number", "D-12"},
	`^[Pp]-[1-9][0-9]{0,17}$`:                              {"P- and a number", "P-7"},
	`^[Oo]-[1-9][0-9]{0,17}$`:                              {"O- and a number", "O-3"},
	`^[Rr]-[1-9][0-9]{0,17}$`:                              {"R- and a number", "R-4"},
	`^[Tt]-[1-9][0-9]{0,17}$`:                              {"T- and a number", "T-2"},
	`^[0-9]+$`:                                             {"digits", "0"},
	`^[0-9a-f]{64}$`:                                       {"64 digits and letters from a to f", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	`^[1-9][0-9]*:[0-9a-f]{64}$`: {
		"a number, a colon, and 64 digits and letters from a to f", "12:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	},
	`^[A-Za-z0-9+/]{43}$`:                       {"a key of 43 letters, digits, + and /", "VXO8FBjbqZAG41xUZtJWLXKcQPcjFrxcCYAuZzUPvH4"},
	`^(\*|"[0-9]{1,18}"( *, *"[0-9]{1,18}")*)$`: {"a version in quotes, several after commas, or *", `"3"`},
}

// sample shows a value a schema takes, or nothing where none says more than the sentence does.
func sample(schema *openapi3.Schema) string {
	switch {
	case schema == nil:
		return ""
	case schema.Example != nil:
		return fmt.Sprint(schema.Example)
	case len(schema.Enum) > 0:
		return fmt.Sprint(schema.Enum[0])
	case schema.Pattern != "":
		return patterns[schema.Pattern].example
	case schema.Format == "date-time":
		return anInstant
	}
	return ""
}

// anInstant is one as the contract writes it.
const anInstant = "2026-11-30T09:00:00Z"
