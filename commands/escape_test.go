package commands

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/renderer/html"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// rendered is Markdown as the most obliging renderer would show it: with raw HTML, tables, strikethrough and links from bare addresses off.
func rendered(t testing.TB, markdown string) string {
	t.Helper()
	var out bytes.Buffer
	renderer := goldmark.New(goldmark.WithExtensions(extension.Strikethrough, extension.Table, extension.TaskList), goldmark.WithRendererOptions(html.WithUnsafe()))
	require.NoError(t, renderer.Convert([]byte(markdown), &out))
	return out.String()
}

var tag = regexp.MustCompile(`</?([a-zA-Z][a-zA-Z0-9]*)[^>]*>|<!`)

// harmless says that Markdown holds only the marks that replies use themselves, and rings no room.
func harmless(t testing.TB, markdown string) {
	t.Helper()
	for _, found := range tag.FindAllStringSubmatch(rendered(t, markdown), -1) {
		require.Contains(t, []string{"p", "strong", "br", "code", "ul", "li", "blockquote"}, found[1], "%q makes %q", markdown, rendered(t, markdown))
	}
	for _, text := range []string{markdown, Plain(markdown)} {
		require.NotContains(t, strings.ToLower(text), "@room")
		require.NotContains(t, text, "\x1b")
	}
}

var hostile = []string{
	"@room wake up", "@ROOM", "<b>bold</b>", "<img src=x onerror=alert(1)>", "<!-- hidden", "[click](https://evil.example)", "![x](mxc://evil/x)",
	"**bold** _italic_ ~~gone~~", "`code`", "``` fence", "# heading", "- item", "1. item", "1) item", "+ item", "> quote", "=====", "---", "a\n\n# heading\n- list\n> quote",
	"| a | b |\n|---|---|\n| c | d |", "&lt;b&gt; &copy;", `\<b\> \`, "<https://evil.example>", "[x]: https://evil.example", "[x][y]", "\x1b[31mred\x07", "a\u202eb",
	"trailing\\", "* * *", "***", "_", "    code", "\tcode", "@\u2060room @r", "[ ] task", "a  \nb", "<", "&", "", " ", "…", "\xff\xfe", "!mosaic status",
}

func TestNothingAPersonOrARunWritesBecomesMarkup(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		harmless(t, escape(text))
		harmless(t, "**D-5** "+escape(text))
		harmless(t, paragraph("first", escape(text), escape(text)))
		harmless(t, bullets("**head**", escape(text), "x "+escape(text)))
		harmless(t, quote(text, 3))
		harmless(t, (&UsageError{Problem: text, Suggestion: "status", Usage: "status", Example: "status"}).Markdown())
	}
}

func TestWhatIsEscapedReadsAsItWasWritten(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"snake_case and *stars*", "a < b && c > d", "[x](y)", `C:\dir`, "`code`", "# not a heading", "1. not a list", "- nor this", "100 %", "~/path", "a|b", "2026-11-30",
	} {
		require.Equal(t, text, Plain(escape(text)))
	}
	require.Equal(t, "@\u2060room", escape("@room"), "invisible, but no push rule finds it")
	require.Equal(t, "two lines", escape("two\n  lines"))
}

func TestHostileTextInEveryReplyAndNoticeStaysText(t *testing.T) {
	t.Parallel()
	for _, text := range hostile {
		d := asked(func(d *register.Dispatch) {
			d.Role, d.Brief, d.BriefClass, d.Model, d.ModelRequested, d.Reason, d.Progress, d.Worker, d.CreatedBy = text, text, text, text, text, text, text, text, text
			d.Result, d.Unmetered, d.Downgraded = register.Result{Summary: text, Reference: text}, text, true
			d.Attempts = []register.RoutingAttempt{{Model: text, Provider: text, Subscription: text, Verdict: register.RoutingAttemptVerdict(text), Reason: text}}
			d.Holds = []register.Hold{{Provider: text, Subscription: text, Window: text, Unit: register.UnitCredits, Micros: 1}}
		})
		p := proposal(func(p *register.Proposal) {
			p.Title, p.Body, p.ActionText, p.OpenedBy, p.Tally.Missing = text, text, text, text, []string{text}
			p.Votes = []register.Vote{{Seat: text, Actor: text, Verdict: register.VerdictReject, Reason: text}}
		})
		w := window(func(w *register.Window) { w.Provider, w.Subscription, w.Window = "x"+text, text, text })
		step := register.StepChange{From: register.StepNormal, To: register.StepQueue, Window: w, Dispatch: "D-5", ModelFrom: text, ModelTo: "x" + text, Text: text}
		harmless(t, budgetText(register.BudgetStatus{Windows: []register.Window{w}}, text, berlin(t)))
		harmless(t, changeText(register.BudgetChange{After: w, Before: w}, "", berlin(t)))
		harmless(t, whoText(register.Identity{Name: text, Kind: text, MatrixID: text, Roles: nil}, register.SeatList{Seats: []register.Seat{{Seat: text, Identity: text}}}))
		harmless(t, proposalsText(register.ProposalList{Proposals: []register.Proposal{p}}, "", monday, berlin(t)))
		harmless(t, proposedText(p, berlin(t))+votedText(p, text, berlin(t)))
		for _, state := range []register.DispatchState{"queued", "ready", "running", "done", "failed", "cancelled", "refused"} {
			d.State = state
			harmless(t, dispatchReply(d, berlin(t)).Markdown)
			harmless(t, showText(d, monday, berlin(t)))
			harmless(t, explainText(d, monday, berlin(t)))
			harmless(t, listText(register.DispatchList{Dispatches: []register.Dispatch{d}}, nil, berlin(t)))
			notice, ok := NoticeFor(register.Event{Type: register.EventType("dispatch." + state), Dispatch: d, At: monday}, berlin(t))
			require.True(t, ok)
			harmless(t, notice.Markdown)
		}
		for _, state := range []register.ProposalState{"open", "passed", "rejected", "expired"} {
			p.State, p.Outcome = state, register.Outcome{Text: text}
			harmless(t, ProposalMessage(p, register.BoardKeys{Approve: []string{text}}, berlin(t)))
		}
		notice, _ := NoticeFor(register.Event{Type: register.EventTypeBudgetStep, Step: step, At: monday}, berlin(t))
		harmless(t, notice.Markdown)
		s := &session{zone: berlin(t), now: func() time.Time { return monday }}
		harmless(t, s.refusal(commandNamed("status"), Call{}, &register.Error{Detail: text, Example: text, NextStep: text}).Markdown)
	}
}

func FuzzEscapedTextIsText(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		harmless(t, escape(text))
		harmless(t, paragraph("x", escape(text), "y"))
		harmless(t, bullets("x", escape(text)))
		harmless(t, "x\n\n"+quote(text, 4))
	})
}
