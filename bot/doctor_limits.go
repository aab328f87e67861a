package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"maunium.net/go/mautrix/id"
)

// lookAtLimits says what the homeserver has refused so far, and how the bot is exempted from its limits. Nothing is sent to find
// out: a room full of messages would be a dear question.
func (e *examination) lookAtLimits(ctx context.Context) {
	const part = "limits"
	if e.database == nil || !e.hasTable(ctx, "limits") {
		e.unknown(part, "What the homeserver refuses is noted from the bot's first start on.")
		return
	}
	seen, err := readLimits(ctx, e.database)
	switch {
	case err != nil:
		e.amiss(part, rootCause(err)+".", "Let the role of MOSAIC_BOT_DATABASE own schema bot.")
	case seen.Refusals == 0:
		e.well(part, "The homeserver has taken every message at once so far.")
	default:
		e.amiss(part, limitsSeen(seen), exemption(serverSoftware(ctx, e.options.Homeserver), e.options.Homeserver, id.UserID(e.options.UserID)))
	}
}

func limitsSeen(seen seenLimits) string {
	times := "once"
	if seen.Refusals > 1 {
		times = fmt.Sprintf("%d times", seen.Refusals)
	}
	return fmt.Sprintf("The homeserver held the bot back %s, last at %s: it takes about %.2g messages a second after %d at once. Nothing is lost, but notices come late.",
		times, seen.Last.UTC().Format("2006-01-02 15:04 UTC"), seen.PerSecond(), seen.Burst)
}

// exemption is how the bot is exempted from the limits of a homeserver of this kind.
func exemption(software, homeserver string, bot id.UserID) string {
	switch {
	case strings.Contains(software, "synapse"):
		return fmt.Sprintf(`As a server admin: curl -X POST -H "Authorization: Bearer $ADMIN_TOKEN" -d '{"messages_per_second": 0, "burst_count": 0}' %s/_synapse/admin/v1/users/%s/override_ratelimit`,
			strings.TrimRight(homeserver, "/"), url.PathEscape(bot.String()))
	case strings.Contains(software, "dendrite"):
		return fmt.Sprintf(`In dendrite.yaml add %q to client_api.rate_limiting.exempt_user_ids, and restart Dendrite.`, bot)
	}
	return fmt.Sprintf("Exempt %s from the homeserver's rate limits for messages: in Synapse by the admin call override_ratelimit, in Dendrite by "+
		"client_api.rate_limiting.exempt_user_ids, elsewhere as its manual says.", bot)
}

// serverSoftware is the name of a homeserver's program in small letters, or empty if it does not tell.
func serverSoftware(ctx context.Context, homeserver string) string {
	base := strings.TrimRight(homeserver, "/")
	for _, path := range []string{"/_matrix/federation/v1/version", "/_matrix/client/versions"} {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return ""
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return ""
		}
		var answer struct {
			Server struct{ Name string }
		}
		failure := json.NewDecoder(http.MaxBytesReader(nil, response.Body, 1<<20)).Decode(&answer)
		response.Body.Close()
		if failure == nil && answer.Server.Name != "" {
			return strings.ToLower(answer.Server.Name)
		}
		if named := strings.ToLower(response.Header.Get("Server")); strings.Contains(named, "synapse") {
			return named
		}
	}
	return ""
}
