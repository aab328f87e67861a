// Package localtest gives a test its own database, a real homeserver and people to talk on it. Under deploy/local/testbed
// all tests share one Postgres and one homeserver; without it each test process starts its own, when first needed.
package localtest

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
)

// startLimit bounds the start of a server, the homeserver's first build included.
const startLimit = 15 * time.Minute

// DB is how to connect to a test's own database.
type DB = local.Database

// Server is a running homeserver.
type Server struct {
	URL          string
	ServerName   string
	SharedSecret string
}

// Account is a registered user without a device.
type Account struct {
	UserID   string
	Name     string // the local part
	Password string
}

var parts = sync.OnceValues(func() (*local.Parts, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	time.AfterFunc(startLimit, cancel)
	return local.NewParts(ctx, os.Getenv("MOSAIC_TEST_SERVER"), local.NewProgress(os.Stderr))
})

// Database makes a fresh database with the roles of gateway and bot and their empty schemas; it is dropped when the test
// ends. It never starts the homeserver.
func Database(t testing.TB) DB {
	t.Helper()
	return copied(t, "template0")
}

// Migrated is Database with the register's schema in it. It is made once per test process and copied for each test, which takes
// a third of the time.
func Migrated(t testing.TB, migrate func(ctx context.Context, gatewayURL string) error) DB {
	t.Helper()
	return copied(t, migrated(t, migrate))
}

func migrated(t testing.TB, migrate func(ctx context.Context, gatewayURL string) error) string {
	t.Helper()
	pattern.making.Lock()
	defer pattern.making.Unlock()
	if pattern.name != "" {
		return pattern.name
	}
	superuser, name := postgresURL(t), "pattern_"+randomName(6)
	db, err := local.PrepareDatabase(t.Context(), superuser, name, rolePasswords(t, superuser))
	require.NoError(t, err)
	require.NoError(t, migrate(t.Context(), db.Gateway))
	pattern.name = name
	return name
}

// pattern is the migrated database that others are copied of; it goes with the cluster.
var pattern struct {
	making sync.Mutex
	name   string
}

func copied(t testing.TB, from string) DB {
	t.Helper()
	superuser := postgresURL(t)
	db, err := local.CopyDatabase(t.Context(), superuser, from, "test_"+randomName(6), rolePasswords(t, superuser))
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := local.DropDatabase(ctx, superuser, db.Name); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	})
	return db
}

func postgresURL(t testing.TB) string {
	t.Helper()
	if shared := os.Getenv("MOSAIC_TEST_POSTGRES"); shared != "" {
		return shared
	}
	own, err := parts()
	require.NoError(t, err)
	postgres, err := own.Postgres()
	require.NoError(t, err)
	return postgres.URL("postgres")
}

// rolePasswords are the same in all test processes, since roles belong to the cluster they share.
func rolePasswords(t testing.TB, superuser string) local.Passwords {
	t.Helper()
	address, err := url.Parse(superuser)
	require.NoError(t, err)
	secret, _ := address.User.Password()
	derive := func(role string) string {
		mac := hmac.New(sha256.New, []byte(secret))
		_, _ = mac.Write([]byte(role))
		return hex.EncodeToString(mac.Sum(nil))
	}
	return local.Passwords{Gateway: derive(local.GatewayRole), Bot: derive(local.BotRole)}
}

// Homeserver returns the homeserver tests share, without rate limits; its server name is localhost.
func Homeserver(t testing.TB) Server {
	t.Helper()
	if shared := os.Getenv("MOSAIC_TEST_HOMESERVER"); shared != "" {
		return Server{URL: strings.TrimSuffix(shared, "/"), ServerName: "localhost", SharedSecret: os.Getenv("MOSAIC_TEST_HOMESERVER_SECRET")}
	}
	own, err := parts()
	require.NoError(t, err)
	homeserver, err := own.Homeserver()
	require.NoError(t, err)
	return Server{URL: homeserver.URL(), ServerName: homeserver.ServerName(), SharedSecret: homeserver.SharedSecret()}
}

// Register makes an account whose name begins with name and is used by no other test.
func Register(t testing.TB, name string) Account {
	t.Helper()
	server := Homeserver(t)
	account := Account{Name: strings.ToLower(name) + "-" + randomName(4), Password: randomName(12)}
	userID, err := local.RegisterUser(t.Context(), server.URL, server.SharedSecret, local.User{
		Name: account.Name, Password: account.Password, DisplayName: name,
	})
	require.NoError(t, err)
	account.UserID = userID
	return account
}

// Person is a new user at a client of their own, who accepts invitations; the client is closed when the test ends.
func Person(t testing.TB, name string) *client.Client {
	t.Helper()
	return LogIn(t, Register(t, name))
}

// FreeAddress is where nobody listened a moment ago, for what is to listen there time and again.
func FreeAddress(t testing.TB) string {
	t.Helper()
	port, err := local.FreePort("127.0.0.1")
	require.NoError(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// LogIn opens a client, on a new device, for an account.
func LogIn(t testing.TB, account Account) *client.Client {
	t.Helper()
	log := zerolog.Nop()
	if os.Getenv("MOSAIC_TEST_TRACE") != "" {
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr}).With().Timestamp().Str("person", account.Name).Logger()
	}
	person, err := client.Connect(t.Context(), client.Options{
		Homeserver: Homeserver(t).URL, Username: account.Name, Password: account.Password, Log: log,
	})
	require.NoError(t, err)
	t.Cleanup(person.Close)
	return person
}

func randomName(bytes int) string {
	raw := make([]byte, bytes)
	_, _ = rand.Read(raw)
	return hex.EncodeToString(raw)
}

// Appservice is the registration file of an application service that no other test uses. Only Synapse, under testbed, has some.
func Appservice(t testing.TB) string {
	t.Helper()
	folder := os.Getenv("MOSAIC_TEST_APPSERVICES")
	if folder == "" {
		t.Skip("application services are for Synapse; `make test-synapse` runs this")
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	require.NoError(t, err)
	for _, file := range files {
		taken, err := os.OpenFile(file+".taken", os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			require.NoError(t, taken.Close())
			return file
		}
	}
	require.FailNow(t, "every application service is taken; let testbed make more")
	return ""
}

// Synapse skips a test that needs something only Synapse has, unless testbed runs one.
func Synapse(t testing.TB) {
	t.Helper()
	if os.Getenv("MOSAIC_TEST_APPSERVICES") == "" {
		t.Skip("this is for Synapse; `make test-synapse` runs it")
	}
}
