package commands

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/budget"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

func statusCommand() *command {
	return &command{
		name:     "status",
		summary:  "The fleet at a glance: paused or not, running, queued with promised start, agents, steps, gateway, encryption.",
		examples: []string{"status"},
		grammar:  func() grammar { return new(nothing) },
		run: func(ctx context.Context, s *session, _ Call) (Reply, error) {
			status, err := s.status(ctx)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: status, Mood: MoodDone, Markdown: statusText(status, s.zone)}, nil
		},
	}
}

// Status is the typed result of the status command: the newest open dispatches, the agents that are not retired and every window.
type Status struct {
	Running []register.Dispatch `json:"running"`
	Ready   []register.Dispatch `json:"ready"`
	Queued  []register.Dispatch `json:"queued"`
	Windows []register.Window   `json:"windows"`
	Agents  []register.Agent    `json:"agents"`
	Pause   register.Pause      `json:"pause"`
	// Gateway is how the gateway finds itself: ok, or what is wrong; empty if it did not say.
	Gateway string `json:"gateway,omitempty"`
	// More says that there are more open dispatches than these.
	More bool      `json:"more"`
	Now  time.Time `json:"now"`
}

func (s *session) status(ctx context.Context) (Status, error) {
	open, err := s.api.Dispatches(ctx, s.by, "", 200, register.DispatchStateRunning, register.DispatchStateReady, register.DispatchStateQueued)
	if err != nil {
		return Status{}, err
	}
	budgets, err := s.api.Budgets(ctx, s.by, "")
	if err != nil {
		return Status{}, err
	}
	pause, err := s.api.Pause(ctx, s.by)
	if err != nil {
		return Status{}, err
	}
	agents, err := s.api.Agents(ctx, s.by, "", 200, register.AgentStateLive, register.AgentStateGone)
	if err != nil {
		return Status{}, err
	}
	status := Status{
		Running: []register.Dispatch{}, Ready: []register.Dispatch{}, Queued: []register.Dispatch{},
		Windows: budgets.Windows, Agents: agents.Agents, Pause: pause, More: open.Next != "", Now: open.Now,
	}
	if health, err := s.api.Ready(ctx); err == nil {
		status.Gateway = gatewayWords(health)
	}
	for _, d := range open.Dispatches {
		switch d.State {
		case register.DispatchStateRunning:
			status.Running = append(status.Running, d)
		case register.DispatchStateReady:
			status.Ready = append(status.Ready, d)
		case register.DispatchStateQueued:
			status.Queued = append(status.Queued, d)
		}
	}
	return status, nil
}

// shownOfEach is how many dispatches of a state the glance names.
const shownOfEach = 5

func statusText(status Status, zone *time.Location) string {
	open := len(status.Running) + len(status.Ready) + len(status.Queued)
	headline := "**Fleet: idle**"
	if open > 0 {
		var counts []string
		for _, state := range [][]register.Dispatch{status.Running, status.Ready, status.Queued} {
			if len(state) > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", len(state), state[0].State))
			}
		}
		headline = "**Fleet: " + listing(counts, "and") + "**"
	}
	if !status.Pause.Paused {
		headline += " · not paused"
	}
	if step := worstStep(status.Windows); step != "" {
		headline += " · " + step
	}
	var items []string
	for _, state := range [][]register.Dispatch{status.Running, status.Ready, status.Queued} {
		for i, d := range state {
			if i == shownOfEach {
				items = append(items, count(len(state)-shownOfEach, "more", "more")+" "+string(d.State)+": "+say("list "+string(d.State)))
				break
			}
			items = append(items, dispatchLine(d, status.Now, zone))
		}
	}
	items = append(items, agentsLine(status.Agents))
	for _, w := range status.Windows {
		items = append(items, windowLine(w, status.Now, zone))
	}
	if len(status.Windows) == 0 {
		items = append(items, "No budget window is set: "+say("budget set --provider claude --limit 500 --unit credits --reset-at +5h"))
	}
	switch {
	case status.Gateway == "ok":
		items = append(items, "Gateway ok")
	case status.Gateway != "":
		items = append(items, "**Gateway not well**: "+escape(status.Gateway))
	}
	if status.Pause.Paused {
		headline = paragraph(pausedLine(status.Pause, status.Now, zone)+" · "+say("resume"), headline)
	}
	return bullets(headline, items...)
}

// worstStep is the highest step any window stands on, and where; empty without windows.
func worstStep(windows []register.Window) string {
	if len(windows) == 0 {
		return ""
	}
	worst := windows[0]
	for _, w := range windows[1:] {
		if budget.ParseStep(string(w.Step)) > budget.ParseStep(string(worst.Step)) {
			worst = w
		}
	}
	if budget.ParseStep(string(worst.Step)) == budget.StepNormal {
		return "every step normal"
	}
	return "worst step **" + string(worst.Step) + "** on " + windowName(worst.Provider, worst.Subscription, worst.Window)
}

// gatewayWords is ok, or each part of the gateway that is not, with what it says.
func gatewayWords(health register.Health) string {
	var amiss []string
	for _, name := range slices.Sorted(maps.Keys(health.Parts)) {
		if said := health.Parts[name]; said != "ok" {
			amiss = append(amiss, name+": "+said)
		}
	}
	if len(amiss) == 0 {
		return "ok"
	}
	return strings.Join(amiss, " ")
}
