package bot

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"
)

// unknownDevice is what a homeserver answers who acts as a device that is not there.
const unknownDevice = "M_UNKNOWN_DEVICE"

// enrol signs an application service in: it makes the bot's user and, without a login, the device that holds its keys.
func enrol(ctx context.Context, client *mautrix.Client, options Options, stored **account) error {
	registration := options.Registration
	switch {
	case client.UserID.Localpart() == registration.Sender:
		return fmt.Errorf("the registration file names %s as its sender_localpart, whom the homeserver lets hear nothing but what it pushes; `mosaic-matrix appservice` makes one that fits", registration.Sender)
	case !registration.reserves(client.UserID):
		return fmt.Errorf("the registration file reserves no user %s; correct MATRIX_USER_ID, or make another file with `mosaic-matrix appservice`", options.UserID)
	}
	client.AccessToken, client.SetAppServiceUserID = registration.Token, true
	if *stored == nil {
		if err := makeUser(ctx, client); err != nil {
			return err
		}
		if err := client.CreateDeviceMSC4190(ctx, newDeviceID(), options.DeviceName); err != nil {
			return fmt.Errorf("making the bot's device: %w", err)
		}
		return adopt(client, client.UserID, client.DeviceID, options, stored)
	}
	client.DeviceID, client.SetAppServiceDeviceID = (*stored).DeviceID, true
	if (*stored).Stale != "" {
		return nil // it goes on with a new device before it does anything
	}
	who, err := client.Whoami(ctx)
	if deviceGone(err) {
		(*stored).Stale = "the homeserver has deleted its device"
		return nil
	}
	if err != nil {
		return notRegistered(err)
	}
	return adopt(client, who.UserID, client.DeviceID, options, stored)
}

// makeUser registers a client's user with the application service's token. That it exists is no failure.
func makeUser(ctx context.Context, client *mautrix.Client) error {
	_, _, err := client.Register(ctx, &mautrix.ReqRegister[any]{
		Username: client.UserID.Localpart(), Type: mautrix.AuthTypeAppservice, InhibitLogin: true,
	})
	if err != nil && !errors.Is(err, mautrix.MUserInUse) {
		return notRegistered(err)
	}
	return nil
}

func notRegistered(err error) error {
	if errors.Is(err, mautrix.MUnknownToken) {
		return fmt.Errorf("the homeserver does not know this application service; name the registration file in its configuration (Synapse: app_service_config_files) and start it again: %w", err)
	}
	return fmt.Errorf("signing in as an application service: %w", err)
}

func deviceGone(err error) bool {
	var failure mautrix.HTTPError
	return errors.As(err, &failure) && failure.RespError != nil && failure.RespError.ErrCode == unknownDevice
}

func newDeviceID() id.DeviceID { return id.DeviceID("MOSAIC" + rand.Text()[:10]) }

// makeDevice makes a device for the bot's user beside the one it has.
func (b *Bot) makeDevice(ctx context.Context, device id.DeviceID) error {
	other, err := b.clientWith(b.options.Registration.Token)
	if err != nil {
		return err
	}
	if err := other.CreateDeviceMSC4190(ctx, device, b.options.DeviceName); err != nil {
		return fmt.Errorf("making a new device: %w", err)
	}
	return nil
}

// endDevice ends a device that is not used any more, and its login.
func (b *Bot) endDevice(ctx context.Context, old *account) error {
	former, err := b.clientWith(old.AccessToken)
	if err != nil {
		return err
	}
	if b.options.Registration != nil {
		if err = former.DeleteDevice(ctx, old.DeviceID, &mautrix.ReqDeleteDevice[any]{}); errors.Is(err, mautrix.MNotFound) {
			return nil
		}
	} else if _, err = former.Logout(ctx); errors.Is(err, mautrix.MUnknownToken) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("logging the old device out: %w", err)
	}
	return nil
}
