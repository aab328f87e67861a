package bot

import (
	"context"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// promisedKey is where words about a dispatch that waits keep the start they promise, inside what is encrypted.
const promisedKey = "dev.mosaicstack.promised_start"

// A promised start is news again once it moved further than promiseSlack and than one part in promiseShare of the wait. Until then the
// message that told it is edited, so that a line which moves every minute does not fill its thread.
const (
	promiseSlack = 2 * time.Minute
	promiseShare = 20
)

func promiseRef(dispatch string) string { return "promise:" + dispatch }

// promise marks a message as the one that tells when a dispatch starts.
func promise(message *outgoing, d register.Dispatch) {
	if d.State != register.DispatchStateQueued || d.PromisedStart.IsZero() {
		return
	}
	message.Ref = promiseRef(d.ID)
	message.Content[promisedKey] = d.PromisedStart.UTC().Format(time.RFC3339)
}

// barelyMoved finds the message that told almost the same promise, if nothing else was told of the dispatch since; nil if it is news.
func (b *Bot) barelyMoved(ctx context.Context, e register.Event, at place) (*outgoing, error) {
	d := e.Dispatch
	if e.Type != register.EventTypeDispatchQueued || d.State != register.DispatchStateQueued || d.PromisedStart.IsZero() {
		return nil, nil
	}
	told, err := b.outbox.latest(ctx, at.room, promiseRef(d.ID))
	if err != nil {
		return nil, fmt.Errorf("reading which start was promised: %w", err)
	}
	if told == nil {
		return nil, nil
	}
	text, _ := told.Content[promisedKey].(string)
	before, err := time.Parse(time.RFC3339, text)
	if err != nil || d.PromisedStart.Sub(before).Abs() > max(promiseSlack, d.PromisedStart.Sub(e.At)/promiseShare) {
		return nil, nil
	}
	since, err := b.outbox.toldSince(ctx, at.room, dispatchRef(d.ID), told.ID)
	if err != nil || since {
		return nil, err
	}
	return told, nil
}
