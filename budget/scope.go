package budget

import (
	"fmt"
	"strings"
)

// ScopeKind is what a window is about.
type ScopeKind uint8

// The scopes: all work of a subscription, or only that of a role, a project or a mission.
const (
	OfSubscription ScopeKind = iota
	OfRole
	OfProject
	OfMission
)

var scopeKinds = [...]string{"subscription", "role", "project", "mission"}

func (k ScopeKind) String() string { return scopeKinds[k] }

// Scope is whose work a window meters.
type Scope struct {
	Kind ScopeKind
	Name string // of the role, project or mission
}

// ParseScope reads a scope as people type it, such as role:coder; nothing is all work of the subscription.
func ParseScope(text string) (Scope, error) {
	read := strings.TrimSpace(text)
	kind, name, named := strings.Cut(read, ":")
	name = strings.TrimSpace(name)
	for i, known := range scopeKinds {
		switch {
		case !strings.EqualFold(strings.TrimSpace(kind), known):
			continue
		case ScopeKind(i) == OfSubscription && !named:
			return Scope{}, nil
		case ScopeKind(i) != OfSubscription && name != "":
			return Scope{Kind: ScopeKind(i), Name: name}, nil
		}
	}
	if read == "" {
		return Scope{}, nil
	}
	return Scope{}, fmt.Errorf("%q is not a scope, write subscription, or role, project or mission with a name, such as role:coder", read)
}

// String writes the scope so that ParseScope reads it back.
func (s Scope) String() string {
	if s.Kind == OfSubscription {
		return scopeKinds[OfSubscription]
	}
	return scopeKinds[s.Kind] + ":" + s.Name
}

// Covers says whether work of the request is metered under the scope.
func (s Scope) Covers(r *Request) bool {
	switch s.Kind {
	case OfRole:
		return s.Name == r.Role
	case OfProject:
		return s.Name == r.Project
	case OfMission:
		return s.Name == r.Mission
	}
	return true
}
