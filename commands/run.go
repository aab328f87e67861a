package commands

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// session is one attempt to carry out a call.
type session struct {
	api  *register.API
	by   register.By
	zone *time.Location
	now  func() time.Time
}

// Run carries out a prepared call and words its answer. A refusal by the gateway is a Reply with MoodRefused; an error for which
// register.Retryable holds leaves the call as it was, to be run again with the same By; on any other error it is not known
// what became of the call.
func Run(ctx context.Context, api *register.API, by register.By, call Call) (Reply, error) {
	return run(ctx, &session{api: api, by: by, now: time.Now}, call)
}

func run(ctx context.Context, s *session, call Call) (Reply, error) {
	chosen := commandNamed(call.Command)
	if chosen == nil {
		return Reply{}, fmt.Errorf("carrying out %q: this version does not know it", call.Command)
	}
	zone, err := zoneOf(call)
	if err != nil {
		return Reply{}, err
	}
	s.zone = zone
	reply, err := chosen.run(ctx, s, call)
	var failure *register.Error
	if !errors.As(err, &failure) || failure.Retry() || failure.Status < 400 {
		return reply, err
	}
	return s.refusal(chosen, call, failure), nil
}

func zoneOf(call Call) (*time.Location, error) {
	zone, err := time.LoadLocation(call.Zone)
	if err != nil {
		return nil, fmt.Errorf("carrying out %q in zone %q: %w", call.Command, call.Zone, err)
	}
	return zone, nil
}

// refusal makes a refusal by the gateway a reply that ends with a command that works.
func (s *session) refusal(chosen *command, call Call, failure *register.Error) Reply {
	way := s.way(chosen, call, failure)
	return Reply{
		Markdown: paragraph("**Not done.** "+explained(failure.Detail, s.now(), s.zone), escape(failure.NextStep), "Example: "+say(way)),
		Mood:     MoodRefused,
		Data: Refusal{
			Code: failure.Code, Detail: failure.Detail, Field: failure.Field, Example: failure.Example,
			NextStep: failure.NextStep, Command: way, RequestID: failure.RequestID,
		},
	}
}

// Refusal is the typed result of a command the gateway refused.
type Refusal struct {
	Code      register.ProblemCode `json:"code"`
	Detail    string               `json:"detail"`
	Field     string               `json:"field,omitempty"`
	Example   string               `json:"example,omitempty"`
	NextStep  string               `json:"next_step,omitempty"`
	Command   string               `json:"command"` // one that works, without prefix
	RequestID string               `json:"request_id,omitempty"`
}

// JSON is a reply's typed result, indented.
func JSON(reply Reply) string {
	text, err := json.MarshalIndent(reply.Data, "", "  ")
	if err != nil {
		return `{"code":"internal","detail":"The result cannot be shown as JSON."}`
	}
	return string(text)
}

// send carries out the call's mutation and decodes the answer.
func send[T any](ctx context.Context, s *session, call Call) (T, error) {
	var answer T
	if call.Mutation == nil {
		return answer, fmt.Errorf("carrying out %q: the stored call holds no request", call.Command)
	}
	err := s.api.Send(ctx, s.by, *call.Mutation, &answer)
	return answer, err
}

// argumentsOf reads back what Prepare stored.
func argumentsOf[T any](call Call) (T, error) {
	var arguments T
	if err := json.Unmarshal(call.Arguments, &arguments); err != nil {
		return arguments, fmt.Errorf("reading the stored arguments of %q: %w", call.Command, err)
	}
	return arguments, nil
}
