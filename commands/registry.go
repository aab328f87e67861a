package commands

import (
	"context"
	"slices"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// command is one entry of the registry: everything that grammar, help, hints, reference and replies need.
type command struct {
	name     string   // canonical, such as "budget set"
	aliases  []string // other names of one or more words
	summary  string   // one line of help
	about    string   // more help, if one line does not do
	roles    []register.FleetRole
	examples []string // whole commands that work; the first stands in usage errors
	grammar  func() grammar
	run      func(ctx context.Context, s *session, call Call) (Reply, error)
	local    bool // the transport carries it out itself
}

// registry holds every command, in the order help shows them. A new command is one more entry.
var registry []*command

func init() {
	registry = []*command{
		helpCommand(), whoAmICommand(), statusCommand(),
		dispatchCommand(), listCommand(), showCommand(), outputCommand(), cancelCommand(), retryCommand(),
		agentsCommand(), agentsRetireCommand(), pauseCommand(), resumeCommand(), ackCommand(), roomVerbosityCommand(),
		budgetSetCommand(), budgetStatusCommand(), budgetResetCommand(), budgetReadingCommand(), budgetExplainCommand(), budgetForecastCommand(), budgetHistoryCommand(), budgetChartCommand(), budgetSimulateCommand(),
		budgetPolicyCommand(), budgetEstimatesCommand(),
		budgetOverrideCommand(), budgetOverridesCommand(), budgetRevokeCommand(),
		boardProposeCommand(), boardListCommand(), boardShowCommand(), voteCommand(),
		boardAcceptCommand(), boardCloseCommand(), boardWithdrawCommand(), boardExportCommand(),
		boardSeatsCommand(), boardAppointCommand(), boardUnseatCommand(), boardRulesCommand(),
		roomBindCommand(), roomShowCommand(), roomUnbindCommand(), roomEncryptionCommand(),
		identityListCommand(), identityShowCommand(), identityLinkCommand(), identityUnlinkCommand(), identityGrantCommand(), identityRevokeCommand(), identityTrustCommand(),
		confirmCommand(), runCommand(), replayCommand(),
	}
}

// Roles that may change what a command changes; a command without roles is for everyone the register knows.
var (
	operators = []register.FleetRole{register.FleetRoleOperator, register.FleetRoleAdmin}
	proposers = []register.FleetRole{register.FleetRoleOperator, register.FleetRoleBoard, register.FleetRoleAdmin}
	admins    = []register.FleetRole{register.FleetRoleAdmin}
	voters    = []register.FleetRole{register.FleetRoleBoard}
)

// groupDefaults is what a group's name alone means.
var groupDefaults = map[string]string{"budget": "budget status", "board": "board list", "room": "room show", "identity": "identity list"}

// Names are the canonical names of all commands, in the order help shows them.
func Names() []string {
	names := make([]string, len(registry))
	for i, c := range registry {
		names[i] = c.name
	}
	return names
}

// commandNamed finds a command by its canonical name, or nil.
func commandNamed(name string) *command {
	for _, c := range registry {
		if c.name == name {
			return c
		}
	}
	return nil
}

func (c *command) allows(roles []register.FleetRole) bool {
	return len(c.roles) == 0 || roles == nil || slices.ContainsFunc(c.roles, func(role register.FleetRole) bool { return slices.Contains(roles, role) })
}

func (c *command) usage() string { return newModel(c.name, c.grammar()).usage(c.name) }

func (c *command) names() []string { return append([]string{c.name}, c.aliases...) }

// find finds the command that a line's first words name, and how many of them do.
func find(words []string) (found *command, used int) {
	for used = min(2, len(words)); used > 0; used-- {
		typed := strings.Join(words[:used], " ")
		for _, c := range registry {
			if slices.Contains(c.names(), typed) {
				return c, used
			}
		}
	}
	return nil, 0
}

// group is the commands whose names begin with word, as in "budget".
func group(word string) []*command {
	var members []*command
	for _, c := range registry {
		if strings.HasPrefix(c.name, word+" ") {
			members = append(members, c)
		}
	}
	return members
}

// commandWord is a typed word as a command's name is written: a phone may have made its first letter a capital or ended it with a stop.
func commandWord(text string) string {
	text = straightDashes(strings.ToLower(visible(text)))
	if trimmed := strings.TrimRight(strings.TrimLeft(text, "!/"), ".,:;!"); trimmed != "" {
		return trimmed
	}
	return text
}
