package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register/internal/fleet"
)

// GetPause reads the switch.
func (o *operations) GetPause(ctx context.Context, _ GetPauseRequestObject) (GetPauseResponseObject, error) {
	pause, err := o.store.Pause(ctx)
	body, err := answered[register.Pause](pause, err)
	return GetPause200JSONResponse{Body: body, Headers: GetPause200ResponseHeaders{ETag: fleet.Tag(pause.Version)}}, err
}

// SetPause pauses the fleet or lets it resume.
func (o *operations) SetPause(ctx context.Context, request SetPauseRequestObject) (SetPauseResponseObject, error) {
	pause, err := o.store.SetPause(ctx, mutation(ctx, http.StatusOK), request.Body.Paused, request.Body.Reason)
	body, err := answered[register.Pause](pause, err)
	return SetPause200JSONResponse{Body: body, Headers: SetPause200ResponseHeaders{ETag: fleet.Tag(pause.Version)}}, err
}

// headerText percent-encodes what a header cannot carry.
func headerText(text string) string {
	var out strings.Builder
	for _, char := range []byte(text) {
		if char < ' ' || char > '~' || char == '%' {
			fmt.Fprintf(&out, "%%%02X", char)
			continue
		}
		out.WriteByte(char)
	}
	return out.String()
}
