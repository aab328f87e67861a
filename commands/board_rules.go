package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func boardRulesCommand() *command {
	return &command{
		name:    "board rules",
		summary: "How the board works: who breaks ties, how long a result settles, what needs signed votes; with a flag, change it.",
		about:   "What is not named stays as it is. Changing it takes an admin.",
		examples: []string{
			"board rules", "board rules --chair ceo --settle 60s --open-on refusal,cap",
			`board rules --sign-over 100dollars --sign-over 1000credits --approve "✅ 👍" --reject "❌ 👎"`,
		},
		grammar: func() grammar { return new(rulesGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			var board register.Board
			var err error
			if call.Mutation == nil {
				board, err = s.api.Board(ctx, s.by)
			} else {
				board, err = send[register.Board](ctx, s, call)
			}
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: board, Mood: MoodDone, Markdown: rulesText(board)}, nil
		},
	}
}

type rulesGrammar struct {
	Chair        string   `placeholder:"SEAT|none" help:"The seat whose vote breaks a tie."`
	Settle       string   `placeholder:"D" field:"settle_seconds" help:"How long votes may still change once the rest cannot alter the result, such as 60s."`
	ReadWithin   string   `placeholder:"D" field:"read_within_seconds" help:"How long a deadline waits for the rooms to be read past it, such as 10m."`
	SeveralSeats string   `placeholder:"yes|no" field:"several_seats" help:"Whether one person may vote for more than one seat."`
	OpenOn       string   `placeholder:"refusal,cap|nothing" field:"open_on_refusal" help:"What is put to the board by itself."`
	SignOver     []string `placeholder:"N" kind:"estimate" sep:"none" field:"sign_over" help:"An override above this takes signed votes; once for each unit, or nothing."`
	Approve      string   `placeholder:"KEYS" kind:"text" field:"keys" help:"Reactions that approve, between spaces; the first is put under a proposal."`
	Reject       string   `placeholder:"KEYS" kind:"text" field:"keys" help:"Reactions that reject."`
	Conditional  string   `placeholder:"KEYS" kind:"text" field:"keys" help:"Reactions that approve on a condition."`
	Abstain      string   `placeholder:"KEYS" kind:"text" field:"keys" help:"Reactions that abstain."`
}

func (g *rulesGrammar) request(r *reader) request {
	var body register.BoardRequest
	changed := false
	set := func(typed string, change func()) {
		if typed != "" {
			changed = true
			change()
		}
	}
	set(g.Chair, func() {
		chair := r.name("--chair", strings.ToLower(g.Chair), "ceo")
		if chair == "none" {
			chair = ""
		}
		body.Chair = &chair
	})
	set(g.Settle, func() { body.SettleSeconds = new(r.seconds("--settle", g.Settle)) })
	set(g.ReadWithin, func() { body.ReadWithinSeconds = new(r.seconds("--read-within", g.ReadWithin)) })
	set(g.SeveralSeats, func() { body.SeveralSeats = new(r.choice("--several-seats", g.SeveralSeats, "yes", "no") == "yes") })
	set(g.OpenOn, func() {
		refusal, limit := false, false
		for _, one := range strings.FieldsFunc(g.OpenOn, func(char rune) bool { return char == ',' || char == ' ' }) {
			switch r.choice("--open-on", one, "refusal", "cap", "nothing") {
			case "refusal":
				refusal = true
			case "cap":
				limit = true
			}
		}
		body.OpenOnRefusal, body.OpenOnCap = &refusal, &limit
	})
	set(strings.Join(g.SignOver, ""), func() { body.SignOver = new(r.limits("--sign-over", g.SignOver)) })
	for typed, keys := range map[*string]**[]string{
		&g.Approve: &body.Keys.Approve, &g.Reject: &body.Keys.Reject, &g.Conditional: &body.Keys.Conditional, &g.Abstain: &body.Keys.Abstain,
	} {
		set(*typed, func() { *keys = new(strings.Fields(*typed)) })
	}
	if !changed {
		return request{}
	}
	return request{mutation: new(register.PutBoard(body))}
}

// seconds reads a length of up to a day: 60s, 10m, 90.
func (r *reader) seconds(where, typed string) int {
	text := strings.ToLower(strings.TrimSpace(typed))
	if _, err := strconv.Atoi(text); err == nil {
		text += "s"
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < 0 || length > 24*time.Hour || length%time.Second != 0 {
		r.refuse(problemf("%s: %s is not a length of up to a day, such as 60s or 10m.", where, read(typed)))
		return 0
	}
	return int(length / time.Second)
}

// limits reads one amount a unit; nothing is none.
func (r *reader) limits(where string, typed []string) []register.Amount {
	out := []register.Amount{}
	if len(typed) == 1 && strings.EqualFold(typed[0], "nothing") {
		return out
	}
	for _, one := range r.estimates(where, typed) {
		if one.Unit == "" {
			r.refuse(problemf("%s: each amount needs its unit, such as 100dollars.", where))
		}
		out = append(out, register.Amount(one))
	}
	return out
}

func rulesText(b register.Board) string {
	chair := "Nobody breaks a tie"
	if b.Chair != "" {
		chair = "A tie is broken by " + escape(b.Chair)
	}
	signed := "Nothing needs signed votes but what is proposed so"
	if len(b.SignOver) > 0 {
		var amounts []string
		for _, one := range b.SignOver {
			amounts = append(amounts, amount(one.Micros, one.Unit))
		}
		signed = "Signed votes for an override over " + listing(amounts, "or") + ", or of work without an estimate"
	}
	var opens []string
	if b.OpenOnRefusal {
		opens = append(opens, "a refused dispatch")
	}
	if b.OpenOnCap {
		opens = append(opens, "a window at its cap")
	}
	by := "Nothing is put to the board by itself"
	if len(opens) > 0 {
		by = "Put to the board by itself: " + listing(opens, "and")
	}
	seats := "One person votes for one seat"
	if b.SeveralSeats {
		seats = "One person may vote for several seats"
	}
	return bullets("**How the board works**",
		fmt.Sprintf("A result settles for %s; a deadline waits up to %s for the rooms to be read", length(time.Duration(b.SettleSeconds)*time.Second), length(time.Duration(b.ReadWithinSeconds)*time.Second)),
		chair, signed, by, seats,
		fmt.Sprintf("Reactions: approve %s, reject %s, conditional %s, abstain %s", keyList(b.Keys.Approve), keyList(b.Keys.Reject), keyList(b.Keys.Conditional), keyList(b.Keys.Abstain)))
}

func keyList(keys []string) string {
	if len(keys) == 0 {
		return "none"
	}
	return escape(strings.Join(keys, " "))
}
