package fleet

import "strconv"

// OverrideID is the number of an override, written O-3.
type OverrideID int64

func (id OverrideID) String() string { return "O-" + strconv.FormatInt(int64(id), 10) }

// MarshalText writes O-3.
func (id OverrideID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads O-3, in either case.
func (id *OverrideID) UnmarshalText(text []byte) error {
	number, err := identifier(string(text), 'O')
	*id = OverrideID(number)
	return err
}

// ParseOverrideID reads O-3, in either case.
func ParseOverrideID(text string) (OverrideID, error) {
	number, err := identifier(text, 'O')
	return OverrideID(number), err
}
