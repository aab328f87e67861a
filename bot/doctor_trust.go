package bot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/signatures"
	"maunium.net/go/mautrix/id"
)

// lookAtDevice compares the keys the database holds with those the homeserver gives to others.
func (e *examination) lookAtDevice(ctx context.Context) {
	const part = "device"
	switch {
	case e.account == nil:
		e.unknown(part, "The bot makes it when it first starts.")
		return
	case e.account.Stale != "":
		e.amiss(part, fmt.Sprintf("Its keys may not be used again: %s.", e.account.Stale), "Start the bot with MATRIX_PASSWORD: it goes on with a new device and tells what it did.")
		return
	}
	store := crypto.NewSQLCryptoStore(e.database, nil, e.account.UserID.String(), e.account.DeviceID, []byte(e.options.PickleKey))
	own, err := store.GetAccount(ctx)
	switch {
	case err != nil:
		e.amiss(part, "The keys in the database cannot be opened with this pickle key.", "Set MOSAIC_BOT_PICKLE_KEY to the one the bot was first started with.")
		return
	case own == nil:
		e.unknown(part, "It has no keys yet; the bot makes them when it starts.")
		return
	case e.client == nil || e.client.AccessToken == "":
		e.unknown(part, "Its keys can be opened; whether others get the same needs the token.")
		return
	case e.client.DeviceID != e.account.DeviceID:
		e.amiss(part, fmt.Sprintf("The token is of device %s, but the keys in the database are of device %s.", e.client.DeviceID, e.account.DeviceID),
			"Use that device's token, or an empty database.")
		return
	}
	asked, err := e.ownKeys(ctx)
	if err != nil {
		e.amiss(part, fmt.Sprintf("The homeserver did not say which keys it gives out: %s.", rootCause(err)), "Try again; if it stays, look into the homeserver's log.")
		return
	}
	published, there := asked.DeviceKeys[e.account.UserID][e.account.DeviceID]
	switch {
	case !there:
		e.amiss(part, fmt.Sprintf("The homeserver gives out no keys of device %s, so nobody can write to it.", e.account.DeviceID),
			"Start the bot with MATRIX_PASSWORD: it goes on with a new device. An empty database does the same, and forgets what is in it.")
	case published.Keys.GetEd25519(e.account.DeviceID) != own.SigningKey() || published.Keys.GetCurve25519(e.account.DeviceID) != own.IdentityKey():
		e.amiss(part, fmt.Sprintf("The homeserver gives out other keys for device %s than the database holds.", e.account.DeviceID),
			"This database is of another login. Name the right one, or log the device out and start the bot with MATRIX_PASSWORD.")
	default:
		e.well(part, "%s has the keys that the homeserver gives out, fingerprint %s.", e.account.DeviceID, own.SigningKey().Fingerprint())
	}
}

func (e *examination) ownKeys(ctx context.Context) (*mautrix.RespQueryKeys, error) {
	return e.client.QueryKeys(ctx, &mautrix.ReqQueryKeys{
		DeviceKeys: mautrix.DeviceKeysRequest{e.account.UserID: mautrix.DeviceIDList{}}, Timeout: examinePatience.Milliseconds(),
	})
}

// lookAtCrossSigning checks what other clients check: that the bot's own identity has signed its device.
func (e *examination) lookAtCrossSigning(ctx context.Context) {
	const part = "cross-signing"
	const again = "Start the bot: it verifies its device with the recovery key"
	if e.account == nil || e.client == nil || e.client.AccessToken == "" {
		e.unknown(part, "It needs the bot's login.")
		return
	}
	asked, err := e.ownKeys(ctx)
	if err != nil {
		e.amiss(part, fmt.Sprintf("The homeserver did not say which keys it gives out: %s.", rootCause(err)), "Try again; if it stays, look into the homeserver's log.")
		return
	}
	user := e.account.UserID
	device, there := asked.DeviceKeys[user][e.account.DeviceID]
	master, signing := asked.MasterKeys[user], asked.SelfSigningKeys[user]
	switch {
	case master.FirstKey() == "" || signing.FirstKey() == "":
		e.amiss(part, "The bot's user has no cross-signing keys, so its device shows as not verified.", "Start the bot: it makes them and writes the recovery key to "+e.options.RecoveryKeyFile)
	case !signedBy(signing, user, master.FirstKey()):
		e.amiss(part, "The bot's self-signing key is not signed by its master key.", again+" in "+e.options.RecoveryKeyFile)
	case !there || !signedBy(device, user, signing.FirstKey()):
		e.amiss(part, fmt.Sprintf("Device %s is not signed by the bot's own keys, so others see it as not verified.", e.account.DeviceID), again+" in "+e.options.RecoveryKeyFile)
	default:
		e.lookAtRecoveryKey(part)
	}
}

func (e *examination) lookAtRecoveryKey(part string) {
	file := e.options.RecoveryKeyFile
	about, err := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.amiss(part, fmt.Sprintf("The device is verified, but the recovery key is not in %s; a new device could not be.", file),
			"Put it there, mode 0600, or name the file it is in: MOSAIC_BOT_RECOVERY_KEY_FILE")
	case err != nil:
		e.amiss(part, fmt.Sprintf("The recovery key in %s cannot be read.", file), "Run the doctor as the user the bot runs as.")
	case about.Mode().Perm()&0o077 != 0:
		e.amiss(part, fmt.Sprintf("Others on this host can read the recovery key in %s.", file), "chmod 600 "+file)
	default:
		e.well(part, "The device shows as verified; the recovery key is in %s.", file)
	}
}

// signedBy says whether user's key has signed something; a missing or wrong signature is all the same.
func signedBy(signed any, user id.UserID, key id.Ed25519) bool {
	valid, err := signatures.VerifySignatureJSON(signed, user, key.String(), key)
	return err == nil && valid
}
