package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// asking is one request, as it goes over the wire. Anything may be wrong with it.
type asking struct {
	method, path, body string
	token, actor, key  string
	last               string // Last-Event-ID
	match              string // If-Match
}

// answer is what came back, byte for byte.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// noToken asks without any; an empty token is the admin's.
const noToken = "-"

func (t *trial) request(ctx context.Context, a asking) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, a.method, t.base+a.path, strings.NewReader(a.body))
	if err != nil {
		return nil, fmt.Errorf("building %s %s: %w", a.method, a.path, err)
	}
	token := a.token
	if token == "" {
		token = t.options.Token
	}
	if token != noToken {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if a.body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for name, value := range map[string]string{"Mosaic-Actor": a.actor, "Idempotency-Key": a.key, "Last-Event-ID": a.last, "If-Match": a.match} {
		if value != "" {
			request.Header.Set(name, value)
		}
	}
	return request, nil
}

// ask sends a request and holds its answer against the contract, whatever it is about.
func (t *trial) ask(ctx context.Context, a asking) (answer, error) {
	request, err := t.request(ctx, a)
	if err != nil {
		return answer{}, err
	}
	response, err := t.wire.Do(request)
	if err != nil {
		return answer{}, fmt.Errorf("%s %s was not answered: %w", a.method, a.path, err)
	}
	defer response.Body.Close()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		return answer{status: response.StatusCode, header: response.Header}, nil // it would not end
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 16<<20))
	if err != nil {
		return answer{}, fmt.Errorf("%s %s was answered in part: %w", a.method, a.path, err)
	}
	got := answer{response.StatusCode, response.Header, body}
	t.shapes.note(t.contract.check(request, got))
	return got, nil
}

// send makes a change under a key.
func (t *trial) send(ctx context.Context, actor, key string, m register.Mutation) (answer, error) {
	return t.ask(ctx, asking{method: m.Method, path: m.Path, body: string(m.Body), actor: actor, key: key})
}

// change makes a change that has to succeed.
func (t *trial) change(ctx context.Context, actor string, m register.Mutation, into any) error {
	got, err := t.send(ctx, actor, key(), m)
	if err != nil {
		return err
	}
	return got.into(m.Method+" "+m.Path, into)
}

// read has to succeed.
func (t *trial) read(ctx context.Context, actor, path string, into any) error {
	got, err := t.ask(ctx, asking{method: http.MethodGet, path: path, actor: actor})
	if err != nil {
		return err
	}
	return got.into("GET "+path, into)
}

// into decodes a success.
func (a answer) into(what string, into any) error {
	if a.status/100 != 2 {
		return seen("%s answered %s", what, a)
	}
	if into == nil || a.status == http.StatusNoContent {
		return nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return seen("%s answered %s, which cannot be read: %w", what, a, err)
	}
	return nil
}

// refused makes a change that has to be refused with a code, for good.
func (t *trial) refused(ctx context.Context, code register.ProblemCode, actor string, m register.Mutation) error {
	got, err := t.send(ctx, actor, key(), m)
	if err != nil {
		return err
	}
	if err := got.is(0, code); err != nil {
		return seen("%s %s answered %w", m.Method, m.Path, err)
	}
	return nil
}

// is says whether the answer is a problem with this code and status; status 0 is any that ends a command.
func (a answer) is(status int, code register.ProblemCode) error {
	var problem register.Problem
	_ = json.Unmarshal(a.body, &problem)
	switch {
	case problem.Code != code:
		return seen("%s, not %s", a, code)
	case status != 0 && a.status != status:
		return seen("%s, not %d", a, status)
	case status == 0 && !ends(a.status):
		return seen("%s, but %d does not end a command", a, a.status)
	}
	return nil
}

// ends says whether a status answers a command; any other leaves it to be sent again.
func ends(status int) bool {
	switch status {
	case 400, 403, 404, 409, 410, 422:
		return true
	}
	return false
}

// String is the answer in few words: status, code and sentence, or what stands instead.
func (a answer) String() string {
	var problem register.Problem
	switch {
	case nestOf(a.body) != "":
		return fmt.Sprintf("%d with a NestJS error (“%s”) that has no code", a.status, nestOf(a.body))
	case json.Unmarshal(a.body, &problem) == nil && problem.Code != "":
		return fmt.Sprintf("%d %s (“%s”)", a.status, problem.Code, problem.Detail)
	case len(a.body) == 0:
		return fmt.Sprintf("%d without a body", a.status)
	}
	return fmt.Sprintf("%d %s", a.status, oneLine(string(a.body)))
}

// nestOf is the sentence of a NestJS error, {statusCode, message, error}, or empty if the body is something else.
func nestOf(body []byte) string {
	var nest struct {
		Status  int             `json:"statusCode"`
		Message json.RawMessage `json:"message"`
		Error   string          `json:"error"`
		Code    string          `json:"code"`
	}
	if json.Unmarshal(body, &nest) != nil || nest.Status == 0 || nest.Code != "" {
		return ""
	}
	var one string
	if json.Unmarshal(nest.Message, &one) == nil && one != "" {
		return one
	}
	var many []string
	if json.Unmarshal(nest.Message, &many) == nil && len(many) > 0 {
		return strings.Join(many, "; ")
	}
	if nest.Error != "" {
		return nest.Error
	}
	return http.StatusText(nest.Status)
}

// soon tries again until look is content, or the promise's time is up, and then says what look last saw.
func soon(ctx context.Context, limit time.Duration, look func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return seen("after %s still: %w", limit, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
