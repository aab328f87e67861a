package bot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// verifyOwnDevice makes the bot's device show as verified: on the first run it generates cross-signing keys and writes the
// recovery key to file, later it uses that file if the device is not signed yet. Clients leave out devices that are not.
func (k *keys) verifyOwnDevice(ctx context.Context, file, password string) error {
	k.Lock()
	defer k.Unlock()
	return errors.Join(k.verify(ctx, file, password), k.knowOwn(ctx))
}

func (k *keys) verify(ctx context.Context, file, password string) error {
	if _, err := k.machine.FetchKeys(ctx, []id.UserID{k.client.UserID}, true); err != nil {
		return fmt.Errorf("asking for the bot's own devices: %w", err)
	}
	has, verified, err := k.machine.GetOwnVerificationStatus(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("reading the own device's verification: %w", err)
	case verified:
		return nil
	case !has:
		return k.generateCrossSigning(ctx, file, password)
	}
	recovery, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s has cross-signing keys, but its recovery key is not in %s; put it there, then start again", k.client.UserID, file)
	}
	if err != nil {
		return fmt.Errorf("reading the recovery key: %w", err)
	}
	if err := k.machine.VerifyWithRecoveryKey(ctx, strings.TrimSpace(string(recovery))); err != nil {
		return fmt.Errorf("verifying the own device with the recovery key in %s: %w", file, err)
	}
	return nil
}

// generateCrossSigning writes the recovery key before anything is published under it: a crash in between leaves either
// nothing published, or a key with which the next start verifies.
func (k *keys) generateCrossSigning(ctx context.Context, file, password string) error {
	secret, err := k.machine.SSSS.GenerateAndUploadKey(ctx, "")
	if err != nil {
		return fmt.Errorf("generating the recovery key: %w", err)
	}
	if err := writeRecoveryKey(file, secret.RecoveryKey()); err != nil {
		return err
	}
	generated, err := k.machine.GenerateCrossSigningKeys()
	if err != nil {
		return fmt.Errorf("generating cross-signing keys: %w", err)
	}
	if err := k.machine.UploadCrossSigningKeysToSSSS(ctx, secret, generated); err != nil {
		return fmt.Errorf("storing the cross-signing keys under the recovery key: %w", err)
	}
	if err := k.machine.SSSS.SetDefaultKeyID(ctx, secret.ID); err != nil {
		return fmt.Errorf("making the recovery key the default: %w", err)
	}
	var prove mautrix.UIACallback
	if password != "" {
		prove = func(asked *mautrix.RespUserInteractive) any {
			return &mautrix.ReqUIAuthLogin{
				BaseAuthData: mautrix.BaseAuthData{Type: mautrix.AuthTypePassword, Session: asked.Session},
				User:         k.client.UserID.String(), Password: password,
			}
		}
	}
	if err := k.machine.PublishCrossSigningKeys(ctx, generated, prove); err != nil {
		return fmt.Errorf("publishing the cross-signing keys: %w", err)
	}
	if err := k.machine.SignOwnDevice(ctx, k.machine.OwnIdentity()); err != nil {
		return fmt.Errorf("signing the own device: %w", err)
	}
	if err := k.machine.SignOwnMasterKey(ctx); err != nil {
		return fmt.Errorf("signing the own master key: %w", err)
	}
	if _, err := k.machine.FetchKeys(ctx, []id.UserID{k.client.UserID}, true); err != nil {
		return fmt.Errorf("reading back the own device: %w", err)
	}
	zerolog.Ctx(ctx).Info().Str("recovery_key_file", file).Msg("Cross-signing set up, recovery key written")
	return nil
}

// writeRecoveryKey never overwrites a key that someone may need: an older file is moved aside.
func writeRecoveryKey(file, key string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("making the folder of the recovery key: %w", err)
	}
	if err := os.Rename(file, file+".previous"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("moving the former recovery key aside: %w", err)
	}
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		return fmt.Errorf("writing the recovery key: %w", err)
	}
	return nil
}
