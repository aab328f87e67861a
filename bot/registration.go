package bot

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	"maunium.net/go/mautrix/id"
)

// AgentPrefix is what the names of the agents' own users begin with.
const AgentPrefix = "fleet_"

// Registration is the file that makes the bot an application service: the homeserver and the bot both read it.
type Registration struct {
	ID          string `yaml:"id"`
	URL         string `yaml:"url"`      // where the homeserver reaches the bot
	Token       string `yaml:"as_token"` // of the bot, at the homeserver
	ServerToken string `yaml:"hs_token"` // of the homeserver, at the bot
	// Sender is a user that nobody is. The bot is a user of the namespace, since the homeserver lets the sender itself hear nothing
	// but what it pushes.
	Sender      string     `yaml:"sender_localpart"`
	RateLimited bool       `yaml:"rate_limited"`
	Namespaces  namespaces `yaml:"namespaces"`
	// ToDevice, Extensions and Devices are what end-to-end encryption takes: to-device messages, device lists and key counts in
	// transactions, and devices without a login.
	ToDevice   bool `yaml:"de.sorunome.msc2409.push_ephemeral"`
	Extensions bool `yaml:"org.matrix.msc3202"`
	Devices    bool `yaml:"io.element.msc4190"`
}

// namespaces are the users that only this application service may make.
type namespaces struct {
	Users   []namespace `yaml:"users"`
	Aliases []namespace `yaml:"aliases"`
	Rooms   []namespace `yaml:"rooms"`
}

type namespace struct {
	Exclusive bool   `yaml:"exclusive"`
	Regex     string `yaml:"regex"`
}

// NewRegistration makes a registration with new tokens for a bot that the homeserver reaches at address. The names of the agents' users
// begin with prefix.
func NewRegistration(user id.UserID, address, prefix string) (*Registration, error) {
	name, server, err := user.Parse()
	if err != nil || name == "" || server == "" {
		return nil, fmt.Errorf("%q is not a Matrix ID; an example is @mosaic:example.org", user)
	}
	at, err := url.Parse(address)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, fmt.Errorf("%q is not an address at which the homeserver can reach the bot; an example is http://127.0.0.1:29330", address)
	}
	if !agentPrefix.MatchString(prefix) {
		return nil, fmt.Errorf("%q cannot begin the agents' names; it takes small letters, digits and . _ - and ends with _, such as %s", prefix, AgentPrefix)
	}
	return &Registration{
		ID: "mosaic-" + name, URL: strings.TrimRight(address, "/"), Token: rand.Text() + rand.Text(), ServerToken: rand.Text() + rand.Text(), Sender: name + "_appservice",
		Namespaces: namespaces{
			Users: []namespace{
				{Exclusive: true, Regex: regexp.QuoteMeta(user.String())},
				{Exclusive: true, Regex: "@" + regexp.QuoteMeta(prefix) + ".*:" + regexp.QuoteMeta(server)},
			},
			Aliases: []namespace{}, Rooms: []namespace{},
		},
		ToDevice: true, Extensions: true, Devices: true,
	}, nil
}

var agentPrefix = regexp.MustCompile(`^[a-z0-9._-]*_$`)

// Write makes the file, mode 0600. It replaces none: the tokens in it may be in use.
func (r *Registration) Write(file string) error {
	raw, err := yaml.Marshal(r)
	if err != nil {
		return fmt.Errorf("encoding the registration: %w", err)
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and its tokens may be in use; move it away, or name another file with --out", file)
	}
	if err != nil {
		return fmt.Errorf("making the registration file: %w", err)
	}
	_, err = out.Write(raw)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("writing the registration file: %w", err)
	}
	return nil
}

// ReadRegistration reads a file that `mosaic-matrix appservice` wrote.
func ReadRegistration(file string) (*Registration, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the registration file; `mosaic-matrix appservice` makes one: %w", err)
	}
	r := &Registration{}
	if err := yaml.Unmarshal(raw, r); err != nil {
		return nil, fmt.Errorf("%s is no registration file; `mosaic-matrix appservice` makes one: %w", file, err)
	}
	for _, needed := range []struct {
		what  string
		there bool
	}{
		{"id", r.ID != ""},
		{"url", r.URL != ""},
		{"as_token", r.Token != ""},
		{"hs_token", r.ServerToken != ""},
		{"sender_localpart", r.Sender != ""},
		{"de.sorunome.msc2409.push_ephemeral: true", r.ToDevice},
		{"org.matrix.msc3202: true", r.Extensions},
		{"io.element.msc4190: true", r.Devices},
	} {
		if !needed.there {
			return nil, fmt.Errorf("the registration file %s lacks `%s`; `mosaic-matrix appservice` makes a whole one", file, needed.what)
		}
	}
	return r, nil
}

// reserves says whether a user belongs to this application service alone.
func (r *Registration) reserves(user id.UserID) bool {
	for _, namespace := range r.Namespaces.Users {
		if pattern, err := regexp.Compile("^(?:" + namespace.Regex + ")$"); err == nil && pattern.MatchString(user.String()) {
			return true
		}
	}
	return false
}

// prefix is what the names of the agents' users begin with; empty if the registration reserves none.
func (r *Registration) prefix() string {
	for _, namespace := range r.Namespaces.Users {
		name, _, ok := strings.Cut(strings.TrimPrefix(namespace.Regex, "@"), ".*")
		name = strings.ReplaceAll(name, `\`, "")
		if ok && agentPrefix.MatchString(name) {
			return name
		}
	}
	return ""
}
