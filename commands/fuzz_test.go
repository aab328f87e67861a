package commands

import (
	"encoding/json"
	"errors"
	"regexp"
	"testing"
	"time"
)

var safePath = regexp.MustCompile(`^/api/fleet/[A-Za-z0-9/_.:%-]+$`)

func FuzzALineBecomesASoundCallOrOneSentence(f *testing.F) {
	for _, c := range registry {
		for _, example := range c.examples {
			f.Add(example)
		}
	}
	for _, line := range append(hostile,
		"dispatch coder —estimate 4\nFix “it\n```\n--exact", "budget set — limit = 2M provider: x reset-at=", "vote P–7: ✅ --seat ../x", "board propose \"a\nb\" --closes 24h",
		"show D-999999999999999999", "budget set --provider claude --limit 9223372036854G --unit % --reset-at +999999w", "\u00a0\u200b", "= = =", "— — —", "dispatch coder --estimate",
		"list a,b,,c", `dispatch "a" "b" "c"`, "dispatch coder --brief-class x", "help help help", "cancel D-1\n\n", "dispatch coder \"a\" --deadline fri 17:00 utc utc",
	) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		call, err := Prepare(Asked{Text: line, At: monday, Zone: time.UTC})
		var failure *UsageError
		switch {
		case err == nil:
			sound(t, call)
		case errors.As(err, &failure):
			harmless(t, failure.Markdown())
			if failure.Problem == "" || failure.Usage == "" || failure.Example == "" {
				t.Fatalf("%q is answered by half a sentence: %+v", line, failure)
			}
			if _, err := Prepare(Asked{Text: failure.Example, At: monday}); err != nil {
				t.Fatalf("the example for %q does not work: %v", line, err)
			}
		default:
			t.Fatalf("%q: %v is no usage error", line, err)
		}
		_, _ = Prepare(Asked{Words: []string{line, line}, At: monday})
		_, _ = Prepare(Asked{Words: []string{"dispatch", line, line}, At: monday})
		if rest, ok := Addressed(line, "!mosaic", []string{"Fleet Bot", "@mosaic:example.org"}, false); ok {
			_, _ = Prepare(Asked{Text: rest, At: monday})
		}
	})
}

// sound says that a call can be stored, sent and carried out.
func sound(t *testing.T, call Call) {
	t.Helper()
	if commandNamed(call.Command) == nil {
		t.Fatalf("%q is no command", call.Command)
	}
	if _, err := json.Marshal(call); err != nil {
		t.Fatalf("the call cannot be stored: %v", err)
	}
	if call.Mutation == nil {
		return
	}
	if !safePath.MatchString(call.Mutation.Path) {
		t.Fatalf("the path %q is not escaped", call.Mutation.Path)
	}
	if len(call.Mutation.Body) > 0 && !json.Valid(call.Mutation.Body) {
		t.Fatalf("the body %q is no JSON", call.Mutation.Body)
	}
}
