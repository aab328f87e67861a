package commands

import (
	"context"
	"regexp"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

var fleetRoles = []string{"viewer", "operator", "board", "admin", "worker"}

func identityListCommand() *command {
	return &command{
		name:     "identity list",
		aliases:  []string{"identities"},
		summary:  "Everyone the register knows: Matrix ID and roles.",
		examples: []string{"identity list"},
		grammar:  func() grammar { return new(nothing) },
		run: func(ctx context.Context, s *session, _ Call) (Reply, error) {
			list, err := s.api.Identities(ctx, s.by)
			if err != nil {
				return Reply{}, err
			}
			items := make([]string, len(list.Identities))
			for i, identity := range list.Identities {
				items[i] = identityLine(identity)
			}
			return Reply{Data: list, Mood: MoodDone, Markdown: bullets("**"+count(len(items), "identity", "identities")+"**", items...)}, nil
		},
	}
}

func identityShowCommand() *command {
	return &command{
		name:     "identity show",
		summary:  "One identity: its Matrix ID, roles, and whether its keys were reset.",
		examples: []string{"identity show ada", "identity show @ada:example.org"},
		grammar:  func() grammar { return new(identityArgument) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			identity, err := s.identityOf(ctx, call)
			if err != nil {
				return Reply{}, err
			}
			return Reply{Data: identity, Mood: MoodDone, Markdown: paragraph("**"+escape(identity.Name)+"**, "+escape(identity.Kind),
				linkedText(identity), rolesLine(identity), s.resetText(identity))}, nil
		},
	}
}

func identityLinkCommand() *command {
	return &command{
		name:    "identity link",
		summary: "Let a Matrix ID act as an identity, which is made if there is none.",
		about: "An identity has one Matrix ID, and a Matrix ID belongs to one identity. One that could be taken for someone else's is refused, " +
			"unless you allow it.",
		roles:    admins,
		examples: []string{"identity link ada @ada:example.org --role operator", "identity link ada @ada:example.org"},
		grammar:  func() grammar { return new(linkGrammar) },
		run:      runIdentity,
	}
}

func identityUnlinkCommand() *command {
	return &command{
		name:     "identity unlink",
		summary:  "Take an identity's Matrix ID away; nobody can act as it from Matrix until it is linked again.",
		roles:    admins,
		examples: []string{"identity unlink ada"},
		grammar:  func() grammar { return new(unlinkGrammar) },
		run:      runIdentity,
	}
}

func identityGrantCommand() *command {
	return &command{
		name:     "identity grant",
		summary:  "Give an identity roles: viewer, operator, board, admin or worker.",
		roles:    admins,
		examples: []string{"identity grant ada operator", "identity grant ada operator board"},
		grammar:  func() grammar { return new(grantGrammar) },
		run:      runIdentity,
	}
}

func identityRevokeCommand() *command {
	return &command{
		name:     "identity revoke",
		summary:  "Take roles from an identity; the last admin stays one.",
		roles:    admins,
		examples: []string{"identity revoke ada operator"},
		grammar:  func() grammar { return new(revokeGrammar) },
		run:      runIdentity,
	}
}

func identityTrustCommand() *command {
	return &command{
		name:    "identity trust",
		summary: "Show the old and the new fingerprint of someone whose keys were reset, or accept the new one.",
		about: "Who sets up encryption anew comes back with other keys, and so does someone who took the account over. Compare the new " +
			"fingerprint with the person over another channel, then accept that very one, on a terminal.",
		roles:    admins,
		examples: []string{"identity trust @ada:example.org", "identity trust ada"},
		grammar:  func() grammar { return new(trustGrammar) },
		run: func(ctx context.Context, s *session, call Call) (Reply, error) {
			if call.Mutation != nil {
				return runIdentity(ctx, s, call)
			}
			identity, err := s.identityOf(ctx, call)
			if err != nil {
				return Reply{}, err
			}
			text := s.resetText(identity)
			if text == "" {
				text = "Its keys are those first seen; nothing has to be accepted."
			}
			return Reply{Data: identity, Mood: MoodDone, Markdown: paragraph("**"+escape(identity.Name)+"**", linkedText(identity), text)}, nil
		},
	}
}

type identityArgument struct {
	Identity string `arg:"" placeholder:"NAME" help:"An identity's name, or its Matrix ID."`
}

func (g *identityArgument) request(r *reader) request {
	return request{arguments: r.identity("", g.Identity)}
}

type linkGrammar struct {
	Identity  string   `arg:"" placeholder:"NAME" help:"The identity's name, such as ada."`
	MatrixID  string   `arg:"" placeholder:"@USER:SERVER" help:"The Matrix ID, such as @ada:example.org."`
	Role      []string `placeholder:"ROLE" field:"grant" help:"A role to give at once; several are separated by commas."`
	LookAlike bool     `help:"Allow a Matrix ID that could be taken for someone else's."`
}

func (g *linkGrammar) request(r *reader) request {
	name := r.required("The name", r.name("The name", g.Identity, "ada"), 64)
	return request{mutation: new(register.ChangeIdentity(name, register.IdentityChange{
		MatrixID: r.matrixID("The Matrix ID", g.MatrixID), Grant: r.roles(g.Role), Create: true, LookAlike: g.LookAlike,
	}))}
}

type unlinkGrammar struct {
	Identity string `arg:"" placeholder:"NAME" help:"The identity's name, such as ada."`
}

func (g *unlinkGrammar) request(r *reader) request {
	return request{mutation: new(register.ChangeIdentity(r.name("The name", g.Identity, "ada"), register.IdentityChange{Unlink: true}))}
}

type grantGrammar struct {
	Identity string   `arg:"" placeholder:"NAME" help:"The identity's name, such as ada."`
	Roles    []string `arg:"" placeholder:"ROLE…" help:"viewer, operator, board, admin or worker."`
}

func (g *grantGrammar) request(r *reader) request {
	return request{mutation: new(register.ChangeIdentity(r.name("The name", g.Identity, "ada"), register.IdentityChange{Grant: r.roles(g.Roles)}))}
}

type revokeGrammar struct {
	Identity string   `arg:"" placeholder:"NAME" help:"The identity's name, such as ada."`
	Roles    []string `arg:"" placeholder:"ROLE…" help:"viewer, operator, board, admin or worker."`
}

func (g *revokeGrammar) request(r *reader) request {
	return request{mutation: new(register.ChangeIdentity(r.name("The name", g.Identity, "ada"), register.IdentityChange{Revoke: r.roles(g.Roles)}))}
}

type trustGrammar struct {
	Identity string `arg:"" placeholder:"NAME" help:"An identity's name, or its Matrix ID."`
	Accept   string `placeholder:"KEY" field:"key" help:"The new fingerprint, to accept it; on a terminal only."`
}

func (g *trustGrammar) request(r *reader) request {
	name := r.identity("", g.Identity)
	if g.Accept == "" {
		return request{arguments: name}
	}
	if r.origin.Transport == register.OriginTransportMatrix {
		r.refuse(problem("Keys are accepted on a terminal, by someone who did not read the fingerprint in this room only."))
	}
	return request{mutation: new(register.TrustReset(name, register.IdentityTrust{Key: r.fingerprint("--accept", g.Accept)}))}
}

var (
	matrixIDPattern    = regexp.MustCompile(`^@[^\s:@]{1,200}:[A-Za-z0-9.\-\[\]:]{1,230}$`)
	fingerprintPattern = regexp.MustCompile(`^[A-Za-z0-9+/]{43}$`)
)

// matrixID reads a Matrix ID; a link to it is meant as it.
func (r *reader) matrixID(where, typed string) string {
	typed = strings.TrimRight(strings.TrimPrefix(typed, "https://matrix.to/#/"), ".,")
	if !matrixIDPattern.MatchString(typed) || len(typed) > 255 {
		r.refuse(problemf("%s: %s is not a Matrix ID, such as @ada:example.org.", where, read(typed)))
	}
	return typed
}

// identity reads an identity's name or Matrix ID.
func (r *reader) identity(where, typed string) string {
	if strings.HasPrefix(typed, "@") || strings.HasPrefix(typed, "https://matrix.to/") {
		return r.matrixID("The identity", typed)
	}
	return r.name("The identity", typed, "ada")
}

func (r *reader) roles(typed []string) []register.FleetRole {
	var roles []register.FleetRole
	for _, one := range typed {
		for part := range strings.SplitSeq(one, ",") {
			if role := r.choice("The role", strings.TrimSpace(part), fleetRoles...); role != "" {
				roles = append(roles, register.FleetRole(role))
			}
		}
	}
	return roles
}

// fingerprint reads a key as it is shown, in groups or not.
func (r *reader) fingerprint(where, typed string) string {
	key := strings.Join(strings.Fields(typed), "")
	if !fingerprintPattern.MatchString(key) {
		r.refuse(problemf("%s: %s is not a fingerprint; those have 43 letters, digits, + and /.", where, read(typed)))
	}
	return key
}

func runIdentity(ctx context.Context, s *session, call Call) (Reply, error) {
	identity, err := send[register.Identity](ctx, s, call)
	if err != nil {
		return Reply{}, err
	}
	return Reply{Data: identity, Mood: MoodDone, Markdown: paragraph("**"+escape(identity.Name)+"**", linkedText(identity), rolesLine(identity), s.resetText(identity))}, nil
}

// identityOf reads the identity that a call names by its name or Matrix ID.
func (s *session) identityOf(ctx context.Context, call Call) (register.Identity, error) {
	wanted, err := argumentsOf[string](call)
	if err != nil {
		return register.Identity{}, err
	}
	if !strings.HasPrefix(wanted, "@") {
		return s.api.Identity(ctx, s.by, wanted)
	}
	list, err := s.api.Identities(ctx, s.by)
	if err != nil {
		return register.Identity{}, err
	}
	for _, identity := range list.Identities {
		if identity.MatrixID == wanted {
			return s.api.Identity(ctx, s.by, identity.Name)
		}
	}
	return register.Identity{}, &register.Error{
		Status: 404, Code: register.ProblemCodeNotFound, Detail: "No identity has the Matrix ID " + wanted + ".", NextStep: "List the identities to see whom the register knows.",
	}
}

func identityLine(identity register.Identity) string {
	parts := []string{"**" + escape(identity.Name) + "**"}
	if identity.MatrixID != "" {
		parts = append(parts, escape(identity.MatrixID))
	}
	if identity.Kind != "human" {
		parts = append(parts, escape(identity.Kind))
	}
	return strings.Join(append(parts, rolesOf(identity)), " · ")
}

func rolesOf(identity register.Identity) string {
	roles := make([]string, len(identity.Roles))
	for i, role := range identity.Roles {
		roles[i] = string(role)
	}
	if len(roles) == 0 {
		return "no role"
	}
	return strings.Join(roles, ", ")
}

func rolesLine(identity register.Identity) string { return "Roles: " + rolesOf(identity) }

func linkedText(identity register.Identity) string {
	if identity.MatrixID == "" {
		return "Not linked to a Matrix ID: " + say("identity link "+identity.Name+" @user:server")
	}
	return "On Matrix: " + escape(identity.MatrixID)
}

// resetText says that someone came back with other keys, and what is to be done; empty if they did not.
func (s *session) resetText(identity register.Identity) string {
	reset := identity.Reset
	if reset.NewKey == "" {
		return ""
	}
	old, now := "Old fingerprint: "+escape(grouped(reset.OldKey)), "New fingerprint: "+escape(grouped(reset.NewKey))
	if reset.AcceptedBy != "" {
		return paragraph("The new keys were accepted by "+escape(reset.AcceptedBy)+" "+instant(reset.AcceptedAt, s.now(), s.zone)+".", old, now)
	}
	return paragraph(
		"**The keys were reset** "+instant(reset.ReportedAt, s.now(), s.zone)+"; until the new ones are accepted, no command of theirs is carried out.", old, now,
		"Compare the new one with the person over another channel, then accept it on a terminal: `mosaic-matrix exec identity trust "+identity.Name+" --accept "+reset.NewKey+"`",
	)
}

// grouped is a key in groups of four, as people compare it.
func grouped(key string) string {
	var groups []string
	for len(key) > 4 {
		groups, key = append(groups, key[:4]), key[4:]
	}
	return strings.Join(append(groups, key), " ")
}

// keysNotice tells that someone came back with other keys, or that these were accepted.
func keysNotice(event register.Event) string {
	identity := event.Identity
	if event.Type == register.EventTypeIdentityTrusted {
		return paragraph("**The new keys of "+escape(identity.Name)+" are accepted** by "+escape(event.Actor)+".", "New fingerprint: "+escape(grouped(identity.Reset.NewKey)))
	}
	return paragraph("**The keys of "+escape(identity.Name)+" were reset.** Until an admin accepts the new ones, no command of theirs is carried out.",
		"Look at both: "+say("identity trust "+identity.Name))
}
