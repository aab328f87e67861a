package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// GetPause reads the switch.
func (o *operations) GetPause(ctx context.Context, _ GetPauseRequestObject) (GetPauseResponseObject, error) {
	pause, err := o.store.Pause(ctx)
	return answered[GetPause200JSONResponse](pause, err)
}

// SetPause pauses the fleet or lets it resume.
func (o *operations) SetPause(ctx context.Context, request SetPauseRequestObject) (SetPauseResponseObject, error) {
	pause, err := o.store.SetPause(ctx, mutation(ctx, http.StatusOK), request.Body.Paused, request.Body.Reason)
	return answered[SetPause200JSONResponse](pause, err)
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
