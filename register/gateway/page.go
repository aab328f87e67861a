package gateway

import (
	"encoding/base64"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

const defaultPage = 20

// The lists that are read page by page; a cursor is good for the one that gave it.
const (
	listDispatches = "dispatches"
	listProposals  = "proposals"
	listSeats      = "seats"
	listRooms      = "rooms"
	listIdentities = "identities"
	listTokens     = "tokens"
	listAgents     = "agents"
	listOverrides  = "overrides"
	listEstimates  = "estimates"
	listReadings   = "readings"
)

func pageOf(limit *int) int {
	if limit == nil {
		return defaultPage
	}
	return *limit
}

// cursor makes the position after which a list goes on opaque; no position is the end of the list.
func cursor(list, position string) string {
	if position == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(list + "\n" + position))
}

// position is where a list goes on, by the cursor it gave; empty is its beginning.
func position(list string, given *string) (string, error) {
	if given == nil || *given == "" {
		return "", nil
	}
	text, err := base64.RawURLEncoding.DecodeString(*given)
	of, position, found := strings.Cut(string(text), "\n")
	if err != nil || !found || of != list || position == "" || !isText(position) {
		return "", badCursor(list)
	}
	return position, nil
}

// numbered is the number a list goes on after; 0 is its beginning.
func numbered[ID ~int64](list string, given *string, parse func(string) (ID, error)) (ID, error) {
	text, err := position(list, given)
	if err != nil || text == "" {
		return 0, err
	}
	id, err := parse(text)
	if err != nil {
		return 0, badCursor(list)
	}
	return id, nil
}

func badCursor(list string) error {
	return &problem{
		Code: register.ProblemCodeInvalid, Field: "cursor", Detail: "cursor is not one that the list of " + list + " gave.",
		Example: "/api/fleet/" + list, NextStep: "Read the list from its beginning, without cursor, and then on with the next of each page.",
	}
}
