package fleet

import (
	"fmt"
	"strconv"
)

// DispatchID is the number of a dispatch, written D-12.
type DispatchID int64

// ProposalID is the number of a proposal, written P-7.
type ProposalID int64

// TokenID is the number of a bearer token, written T-3.
type TokenID int64

// RingID is the number of a ring, written R-4.
type RingID int64

func (id DispatchID) String() string { return "D-" + strconv.FormatInt(int64(id), 10) }
func (id ProposalID) String() string { return "P-" + strconv.FormatInt(int64(id), 10) }
func (id TokenID) String() string    { return "T-" + strconv.FormatInt(int64(id), 10) }
func (id RingID) String() string     { return "R-" + strconv.FormatInt(int64(id), 10) }

// MarshalText writes D-12.
func (id DispatchID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes P-7.
func (id ProposalID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes T-3.
func (id TokenID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// MarshalText writes R-4.
func (id RingID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads R-4, in either case.
func (id *RingID) UnmarshalText(text []byte) error {
	number, err := identifier(string(text), 'R')
	*id = RingID(number)
	return err
}

// UnmarshalText reads D-12, in either case.
func (id *DispatchID) UnmarshalText(text []byte) error {
	number, err := identifier(string(text), 'D')
	*id = DispatchID(number)
	return err
}

// UnmarshalText reads P-7, in either case.
func (id *ProposalID) UnmarshalText(text []byte) error {
	number, err := identifier(string(text), 'P')
	*id = ProposalID(number)
	return err
}

// UnmarshalText reads T-3, in either case.
func (id *TokenID) UnmarshalText(text []byte) error {
	number, err := identifier(string(text), 'T')
	*id = TokenID(number)
	return err
}

// ParseDispatchID reads D-12, in either case.
func ParseDispatchID(text string) (DispatchID, error) {
	number, err := identifier(text, 'D')
	return DispatchID(number), err
}

// ParseProposalID reads P-7, in either case.
func ParseProposalID(text string) (ProposalID, error) {
	number, err := identifier(text, 'P')
	return ProposalID(number), err
}

// ParseTokenID reads T-3, in either case.
func ParseTokenID(text string) (TokenID, error) {
	number, err := identifier(text, 'T')
	return TokenID(number), err
}

// ParseRingID reads R-4, in either case.
func ParseRingID(text string) (RingID, error) {
	number, err := identifier(text, 'R')
	return RingID(number), err
}

func identifier(text string, letter byte) (int64, error) {
	if len(text) > 2 && text[0]&^0x20 == letter && text[1] == '-' {
		if number, err := strconv.ParseUint(text[2:], 10, 63); err == nil {
			return int64(number), nil
		}
	}
	return 0, fmt.Errorf("%q is not a number such as %c-12", text, letter)
}
