package commands

import (
	"context"
	"regexp"
	"slices"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func agentsCommand() *command {
	return &command{
		name:     "agents",
		aliases:  []string{"workers"},
		summary:  "Who runs work: host, runtime, what each runs, when it was last heard, its subscriptions.",
		about:    "Without a state it lists those that live and those that are gone. A worker declares itself when it starts: mosaic-matrix work --role coder -- ./agent.sh",
		examples: []string{"agents", "agents gone"},
		grammar:  func() grammar { return new(agentsGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			wanted, err := argumentsOf[[]register.AgentState](call)
			if err != nil {
				return Reply{}, err
			}
			list, err := s.api.Agents(ctx, s.by, "", 200, wanted...)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: agentsText(list)}, nil
		},
	}
}

var agentStates = []string{"live", "gone", "retired"}

type agentsGrammar struct {
	States []string `arg:"" optional:"" placeholder:"STATE…" choices:"live,gone,retired" help:"live, gone or retired."`
}

func (g *agentsGrammar) request(r *reader) request {
	wanted := []register.AgentState{}
	for _, typed := range g.States {
		if state := r.choice("The state", typed, agentStates...); state != "" {
			wanted = append(wanted, register.AgentState(state))
		}
	}
	if len(wanted) == 0 {
		wanted = append(wanted, register.AgentStateLive, register.AgentStateGone)
	}
	return request{arguments: wanted}
}

// startWorker is how a worker comes about, as typed in a shell.
const startWorker = "`mosaic-matrix work --role coder -- ./agent.sh`"

func agentsText(list register.AgentList) string {
	if len(list.Agents) == 0 {
		return "**No agent is there.** Start a worker on its host: " + startWorker
	}
	items := make([]string, len(list.Agents))
	for i, agent := range list.Agents {
		items[i] = agentLine(agent, list.Now)
	}
	headline := "**" + count(len(items), "agent", "agents") + "**"
	if list.Next != "" {
		headline = "**The first " + count(len(items), "agent", "agents") + "**"
	}
	return bullets(headline, items...)
}

// agentLine is an agent in one line: who, how it is, what it runs, when it was heard, where and on what.
func agentLine(agent register.Agent, now time.Time) string {
	text := "**" + escape(agent.Name) + "** " + string(agent.State)
	switch {
	case len(agent.Running) > 0:
		text += ", runs " + listing(agent.Running, "and")
	case agent.State == register.AgentStateLive:
		text += ", idle"
	}
	text += " · heard " + since(agent.HeardAt, now)
	for _, part := range []string{agent.Host, agent.Runtime} {
		if part != "" {
			text += " · " + escape(part)
		}
	}
	return text + " · " + logins(agent)
}

// logins is what an agent's host is logged in to, and up to which model it runs there.
func logins(agent register.Agent) string {
	text := "every subscription"
	if len(agent.Subscriptions) > 0 {
		named := make([]string, len(agent.Subscriptions))
		for i, subscription := range agent.Subscriptions {
			named[i] = escape(subscription)
		}
		text = listing(named, "and")
	}
	if agent.ModelCeiling != "" {
		text += " up to " + escape(agent.ModelCeiling)
	}
	return text
}

// agentsLine is how many agents there are, for a glance at the fleet.
func agentsLine(agents []register.Agent) string {
	var live, idle, gone int
	for _, agent := range agents {
		switch {
		case agent.State == register.AgentStateGone:
			gone++
		case agent.State == register.AgentStateLive && len(agent.Running) == 0:
			live, idle = live+1, idle+1
		case agent.State == register.AgentStateLive:
			live++
		}
	}
	if live == 0 {
		return "No worker is live. Start one on its host: " + startWorker
	}
	text := count(live, "agent", "agents") + " live, " + count(idle, "idle", "idle")
	if gone > 0 {
		text += ", " + count(gone, "gone", "gone")
	}
	return text + ": " + say("agents")
}

func agentsRetireCommand() *command {
	return &command{
		name:     "agents retire",
		summary:  "Take an agent's name out of use for good: it gets no more work, and what it runs goes on.",
		roles:    []register.FleetRole{register.FleetRoleAdmin},
		examples: []string{"agents retire coder-2"},
		grammar:  func() grammar { return new(agentsRetireGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			agent, err := send[register.Agent](ctx, s, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: agent, Mood: MoodDone, Markdown: retiredText(agent)}, nil
		},
	}
}

type agentsRetireGrammar struct {
	Agent string `arg:"" placeholder:"NAME" help:"The agent, such as coder-2."`
	sure
}

var agentPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}-[1-9][0-9]{0,8}$`)

func (g *agentsRetireGrammar) request(r *reader) request {
	name := r.matching("The agent", straightDashes(g.Agent), "coder-2", agentPattern, "a role, a dash and a number")
	return request{mutation: new(register.RetireAgent(name)), arguments: name, confirmed: g.Yes}
}

func retiredText(agent register.Agent) string {
	lines := []string{"**" + escape(agent.Name) + " is retired**", "It gets no more work."}
	if len(agent.Running) > 0 {
		lines = append(lines, "It still runs "+listing(agent.Running, "and")+"; to stop that: "+say("cancel "+agent.Running[0]))
	}
	return paragraph(append(lines, "Who is left: "+say("agents"))...)
}

// lacksWorker says whether a dispatch waits because nobody lives who could run it.
func lacksWorker(d register.Dispatch) bool {
	return d.State == register.DispatchStateQueued && d.PromisedStart.IsZero() && slices.ContainsFunc(d.Attempts, func(a register.RoutingAttempt) bool {
		return a.Verdict == register.RoutingAttemptVerdictNoWorker
	})
}
