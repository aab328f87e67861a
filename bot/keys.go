package bot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rs/zerolog"
	"go.mau.fi/util/dbutil"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/id"
	"maunium.net/go/mautrix/sqlstatestore"
)

// trustFloor is the least trust a device needs to command the bot or to be given the keys of what it says.
const trustFloor = id.TrustStateCrossSignedTOFU

// keys holds the device's end-to-end encryption. The machine and its store cache what they write, so a transaction that
// rolled back leaves them ahead of the database: the sync holds the lock alone and rebuilds both; everyone else shares it.
type keys struct {
	sync.RWMutex
	client   *mautrix.Client
	database *dbutil.Database
	pickle   []byte
	log      zerolog.Logger
	machine  *crypto.OlmMachine
	rooms    *sqlstatestore.SQLStateStore

	// fetching is held while devices are asked for: they are stored before the signatures on them, and whoever shared keys in
	// between would withhold them from devices that are trusted.
	fetching sync.Mutex

	// received is told of every room key, inside the transaction that stores it.
	received func(room id.RoomID, session id.SessionID)
}

func newKeys(ctx context.Context, client *mautrix.Client, database *dbutil.Database, pickle string, log zerolog.Logger) (*keys, error) {
	k := &keys{
		client:   client,
		database: database,
		pickle:   []byte(pickle),
		log:      log.Level(max(log.GetLevel(), zerolog.WarnLevel)),
		rooms:    sqlstatestore.NewSQLStateStore(database, nil, false),
		received: func(id.RoomID, id.SessionID) {},
	}
	k.rooms.DisableNameDisambiguation = true
	client.StateStore = k.rooms
	if err := k.rebuild(ctx); err != nil {
		return nil, err
	}
	return k, nil
}

// rebuild reads the machine anew from what is committed. The caller holds the lock alone.
func (k *keys) rebuild(ctx context.Context) error {
	store := &keyStore{crypto.NewSQLCryptoStore(k.database, nil, k.client.UserID.String(), k.client.DeviceID, k.pickle)}
	machine := crypto.NewOlmMachine(k.client, &k.log, store, k.rooms)
	machine.DisableDecryptKeyFetching = true // decryption must not wait for the network; trust is looked up beside it
	machine.SendKeysMinTrust = trustFloor
	machine.ShareKeysMinTrust = trustFloor
	machine.SessionReceived = func(_ context.Context, room id.RoomID, session id.SessionID, _ uint32) { k.received(room, session) }
	if err := machine.Load(ctx); err != nil {
		return fmt.Errorf("%w: %w", errKeysUnreadable, err)
	}
	if k.machine != nil {
		k.machine.Destroy()
	}
	k.machine = machine
	return k.knowOwn(ctx)
}

// knowOwn has the machine read the bot's own public keys, if it has any. The machine would do so when it first needs them, and without a
// lock, so that one who shares the lock would write what another reads. The caller holds the lock alone, or is alone.
func (k *keys) knowOwn(ctx context.Context) error {
	known, err := k.machine.CryptoStore.GetCrossSigningKeys(ctx, k.client.UserID)
	if err != nil {
		return fmt.Errorf("reading the bot's own cross-signing keys: %w", err)
	}
	if _, ok := known[id.XSUsageMaster]; !ok {
		return nil // they are made, or asked for, before the bot begins
	}
	if _, err := k.machine.GetOwnCrossSigningPublicKeys(ctx); err != nil {
		return fmt.Errorf("reading the bot's own cross-signing keys: %w", err)
	}
	return nil
}

// share gives the key of a room's outbound session to its members' trusted devices, asking first for devices not known yet.
func (k *keys) share(ctx context.Context, room id.RoomID) error {
	members, err := k.members(ctx, room)
	if err != nil {
		return err
	}
	k.fetching.Lock()
	defer k.fetching.Unlock()
	if err := k.machine.ShareGroupSession(ctx, room, members); err != nil {
		return fmt.Errorf("sharing the room's keys: %w", err)
	}
	return nil
}

// members are who has joined or is invited to a room. The sync brings only those who speak, so the first who needs them all asks
// for them; after that the sync tells who comes and goes. The caller shares the lock, so that no sync is stored in between.
func (k *keys) members(ctx context.Context, room id.RoomID) ([]id.UserID, error) {
	fetched, err := k.rooms.HasFetchedMembers(ctx, room)
	if err != nil {
		return nil, fmt.Errorf("reading who is in %s: %w", room, err)
	}
	if !fetched {
		if _, err := k.client.Members(ctx, room); err != nil {
			return nil, fmt.Errorf("asking who is in %s: %w", room, err)
		}
	}
	members, err := k.rooms.GetRoomJoinedOrInvitedMembers(ctx, room)
	if err != nil {
		return nil, fmt.Errorf("reading who is in %s: %w", room, err)
	}
	return members, nil
}

// state asks for the whole state of a room and keeps it. Like members, it lets no sync be stored in between: the answer would lose
// who came meanwhile, and give keys to who went.
func (k *keys) state(ctx context.Context, room id.RoomID) (mautrix.RoomStateMap, error) {
	k.RLock()
	defer k.RUnlock()
	return k.client.State(ctx, room)
}

// askMembers asks who is in a room, whatever is known of it, in the same manner.
func (k *keys) askMembers(ctx context.Context, room id.RoomID) (*mautrix.RespMembers, error) {
	k.RLock()
	defer k.RUnlock()
	return k.client.Members(ctx, room)
}

// forgetMembers is for a room of which the sync left something out: who came and went is not known, so neither is for whom the
// room's outbound session is.
func (k *keys) forgetMembers(ctx context.Context, room id.RoomID) error {
	if _, err := k.database.Exec(ctx, `UPDATE mx_room_state SET members_fetched = false WHERE room_id = $1`, room); err != nil {
		return fmt.Errorf("forgetting who is in %s: %w", room, err)
	}
	if err := k.machine.CryptoStore.RemoveOutboundGroupSession(ctx, room); err != nil {
		return fmt.Errorf("ending the outbound session of %s: %w", room, err)
	}
	return nil
}

// publish uploads the device's keys if the homeserver lacks them and keeps enough one-time keys there.
func (k *keys) publish(ctx context.Context, oneTimeKeys int) error {
	k.RLock()
	defer k.RUnlock()
	enough := int(k.machine.GetAccount().Internal.MaxNumberOfOneTimeKeys() / 2)
	if k.machine.GetAccount().Shared && oneTimeKeys >= enough {
		return nil
	}
	if k.machine.GetAccount().Shared && oneTimeKeys == 0 {
		oneTimeKeys = -1 // some servers leave the count out of a sync: ask before making more
	}
	if err := k.machine.ShareKeys(ctx, oneTimeKeys); err != nil {
		return fmt.Errorf("uploading one-time keys: %w", err)
	}
	return nil
}

// refreshDevices asks anew for the devices of everyone whose list is marked as changed. When the trust of a device changed,
// the outbound sessions of the rooms shared with it are renewed, so that the very next message is readable there.
func (k *keys) refreshDevices(ctx context.Context) error {
	changed, err := k.changedDevices(ctx)
	if err != nil || len(changed) == 0 {
		return err
	}
	if slices.Contains(changed, k.client.UserID) { // the machine forgets its own keys
		k.Lock()
		defer k.Unlock()
		return errors.Join(k.fetchDevices(ctx, changed), k.knowOwn(ctx))
	}
	k.RLock()
	defer k.RUnlock()
	return k.fetchDevices(ctx, changed)
}

// changedDevices are the users whose devices are to be asked for anew.
func (k *keys) changedDevices(ctx context.Context) ([]id.UserID, error) {
	k.RLock()
	defer k.RUnlock()
	changed, err := k.machine.CryptoStore.GetOutdatedTrackedUsers(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading whose devices changed: %w", err)
	}
	return changed, nil
}

// outdated says whether a user's devices changed since they were last asked for.
func (k *keys) outdated(ctx context.Context, user id.UserID) bool {
	changed, err := k.changedDevices(ctx)
	return err == nil && slices.Contains(changed, user)
}

func (k *keys) fetchDevices(ctx context.Context, users []id.UserID) error {
	k.fetching.Lock()
	defer k.fetching.Unlock()
	before := make(map[id.UserID]map[id.DeviceID]id.TrustState, len(users))
	for _, user := range users {
		before[user] = k.trustOf(ctx, user)
	}
	if _, err := k.machine.FetchKeys(ctx, users, true); err != nil {
		return fmt.Errorf("asking for devices: %w", err)
	}
	for _, user := range users {
		after := k.trustOf(ctx, user)
		for device, trust := range after {
			if known, had := before[user][device]; had && known != trust {
				k.machine.OnDevicesChanged(ctx, user)
				break
			}
		}
	}
	return nil
}

func (k *keys) trustOf(ctx context.Context, user id.UserID) map[id.DeviceID]id.TrustState {
	trust := map[id.DeviceID]id.TrustState{}
	devices, err := k.machine.CryptoStore.GetDevices(ctx, user)
	if err != nil {
		return trust
	}
	for device, keys := range devices {
		if state, err := k.machine.ResolveTrustContext(ctx, keys); err == nil {
			trust[device] = state
		}
	}
	return trust
}

// verified says whether the bot's own device is signed by its cross-signing keys.
func (k *keys) verified(ctx context.Context) (bool, error) {
	k.RLock()
	defer k.RUnlock()
	_, verified, err := k.machine.GetOwnVerificationStatus(ctx)
	return verified, err
}
