package bot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// worldKind is the account data in which the homeserver keeps how far this device's sessions have come. A database that is
// behind it was restored.
const worldKind = "dev.mosaicstack.bot"

// world is what the homeserver keeps of the bot's one device.
type world struct {
	DeviceID   id.DeviceID `json:"device_id"`
	Generation int64       `json:"generation"`
}

// witness lets nothing leave that changes something unless this bot leads. It counts, in the database and then at the homeserver, every request that leaves with a step of an Olm ratchet or with
// new one-time keys, before it leaves. What is said in rooms needs no count: there the bot sees its own events.
type witness struct {
	next     http.RoundTripper
	leader   *leadership
	database *dbutil.Database
	client   *mautrix.Client
}

// RoundTrip implements http.RoundTripper.
func (w *witness) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method != http.MethodGet && !w.leader.fresh() {
		return nil, errDeposed
	}
	if advances(request) {
		if err := w.count(); err != nil {
			return nil, fmt.Errorf("counting a step of the device's sessions: %w", err)
		}
	}
	return w.next.RoundTrip(request)
}

func advances(request *http.Request) bool {
	path := request.URL.Path
	return request.Method == http.MethodPut && strings.Contains(path, "/sendToDevice/m.room.encrypted/") ||
		strings.HasSuffix(path, "/keys/upload") && request.ContentLength > int64(len("{}"))
}

func (w *witness) count() error {
	// Not the request's context: the count must stand even if a transaction around the request does not.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var now world
	err := w.database.QueryRow(ctx, `UPDATE account SET generation = generation + 1 RETURNING device_id, generation`).Scan(&now.DeviceID, &now.Generation)
	if err != nil {
		return err
	}
	return w.client.SetAccountData(ctx, worldKind, &now)
}

// seenWorld reads what the homeserver keeps; nothing yet is the zero value.
func seenWorld(ctx context.Context, client *mautrix.Client) (world, error) {
	var seen world
	err := client.GetAccountData(ctx, worldKind, &seen)
	if err != nil && !errors.Is(err, mautrix.MNotFound) {
		return world{}, fmt.Errorf("asking how far the device's sessions have come: %w", err)
	}
	return seen, nil
}
