package bot

import (
	"context"
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
)

// lookAtRegistration asks whether the homeserver knows the bot as its application service.
func (e *examination) lookAtRegistration(ctx context.Context) {
	const part = "token"
	registration := e.options.Registration
	e.client.AccessToken, e.client.SetAppServiceUserID = registration.Token, true
	if !registration.reserves(e.client.UserID) {
		e.client.AccessToken = ""
		e.amiss(part, fmt.Sprintf("The registration file reserves no user %s.", e.client.UserID), "Correct MATRIX_USER_ID, or make another file with `mosaic-matrix appservice`.")
		return
	}
	if e.account != nil {
		e.client.DeviceID, e.client.SetAppServiceDeviceID = e.account.DeviceID, true
	}
	_, err := e.client.Whoami(ctx)
	switch {
	case err == nil && e.account == nil:
		e.well(part, "The homeserver knows %s as an application service; its device is made when it first starts.", registration.ID)
	case err == nil:
		e.well(part, "The homeserver knows %s as an application service, on device %s.", registration.ID, e.client.DeviceID)
	case errors.Is(err, mautrix.MUnknownToken):
		e.client.AccessToken = ""
		e.amiss(part, "The homeserver does not know this application service.", "Name the registration file in its configuration (Synapse: app_service_config_files) and start it again.")
	case deviceGone(err):
		e.client.AccessToken = ""
		e.amiss(part, fmt.Sprintf("The homeserver has deleted the bot's device %s.", e.client.DeviceID), "Start the bot: it goes on with a new device and tells what it did.")
	case errors.Is(err, mautrix.MForbidden) && e.account == nil: // the bot's user is made at its first start
		e.client.AccessToken = ""
		e.unknown(part, "The homeserver knows "+registration.ID+"; the bot's user is made when it first starts.")
	default:
		e.client.AccessToken = ""
		e.amiss(part, fmt.Sprintf("The homeserver did not say whose the token is: %s.", rootCause(err)), "Try again; if it stays, look into the homeserver's log.")
	}
}

// lookAtPushing has the homeserver reach for the running bot.
func (e *examination) lookAtPushing(ctx context.Context) {
	const part = "pushing"
	registration := e.options.Registration
	switch {
	case registration == nil:
		return
	case e.client == nil || e.client.AccessToken == "":
		e.unknown(part, "It needs the bot's token.")
		return
	}
	quiet := zerolog.Nop()
	_, err := e.client.AppservicePing(quiet.WithContext(ctx), registration.ID, "")
	switch {
	case err == nil:
		e.well(part, "The homeserver reaches the bot at %s.", registration.URL)
	case errors.Is(err, mautrix.MUnrecognized):
		e.unknown(part, "This homeserver cannot be asked whether it reaches the bot.")
	default:
		e.amiss(part, fmt.Sprintf("The homeserver does not reach the bot at %s: %s.", registration.URL, rootCause(err)),
			"Start the bot, or correct `url` in the registration file to where the homeserver reaches it, and start both again.")
	}
}
