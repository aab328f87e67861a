package budget

import (
	"fmt"
	"strings"
)

// Tier is one model of one provider with its cost relative to the other tiers.
type Tier struct {
	Provider string
	Model    string
	Cost     int64
}

// Ladder is the tiers from the highest to the lowest; a requested model is a ceiling in it.
type Ladder []Tier

// DefaultLadder is opus, sonnet, haiku (5 : 3 : 1), then Codex.
func DefaultLadder() Ladder {
	return Ladder{
		{Provider: "claude", Model: "opus", Cost: 5},
		{Provider: "claude", Model: "sonnet", Cost: 3},
		{Provider: "claude", Model: "haiku", Cost: 1},
		{Provider: "codex", Model: "gpt-5.5", Cost: 3},
	}
}

// Validate says what is wrong with a configured ladder: it needs a tier, costs above zero, and every model once.
func (l Ladder) Validate() error {
	if len(l) == 0 {
		return fmt.Errorf("the ladder has no tiers, list at least one, such as claude opus with cost 5")
	}
	seen := make(map[string]bool, len(l))
	for _, tier := range l {
		switch {
		case tier.Provider == "" || tier.Model == "":
			return fmt.Errorf("a tier of the ladder has no provider or no model, such as claude opus with cost 5")
		case tier.Cost <= 0:
			return fmt.Errorf("the tier %s has cost %d, it must be above zero, such as 5", tier.Model, tier.Cost)
		case seen[strings.ToLower(tier.Model)]:
			return fmt.Errorf("the model %s is in the ladder twice, list every model once", tier.Model)
		}
		seen[strings.ToLower(tier.Model)] = true
	}
	return nil
}

// From is the tiers a request for model may use: that one and those below it. No model means the whole ladder.
// Case does not matter. The error is an *UnknownModelError.
func (l Ladder) From(model string) (Ladder, error) {
	if model == "" {
		return l, nil
	}
	for i, tier := range l {
		if strings.EqualFold(tier.Model, model) {
			return l[i:], nil
		}
	}
	return nil, &UnknownModelError{Model: model, Known: l.models()}
}

func (l Ladder) models() []string {
	names := make([]string, len(l))
	for i, tier := range l {
		names[i] = tier.Model
	}
	return names
}

// UnknownModelError is a request for a model that is not in the ladder.
type UnknownModelError struct {
	Model string
	Known []string
}

func (e *UnknownModelError) Error() string {
	return fmt.Sprintf("The model %q is not in the ladder; known are %s.", e.Model, strings.Join(e.Known, ", "))
}
