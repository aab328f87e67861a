package conformance_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// changing alters a request before the gateway gets it.
func changing(change func(*http.Request)) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			change(r)
			gateway.ServeHTTP(w, r)
		})
	}
}

// forgetKeys makes a new key for every request that has a good one.
func forgetKeys(gateway http.Handler) http.Handler {
	return changing(func(r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); key != "" && len(key) <= 255 {
			r.Header.Set("Idempotency-Key", rand.Text())
		}
	})(gateway)
}

// forgetOthers remembers a key only together with its payload, for new dispatches.
func forgetOthers(gateway http.Handler) http.Handler {
	return changing(func(r *http.Request) {
		if key := r.Header.Get("Idempotency-Key"); r.URL.Path == "/api/fleet/dispatches" && key != "" && len(key) < 100 {
			r.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%x", key, bodyOf(r)[:min(len(bodyOf(r)), 50)])+fmt.Sprint(len(bodyOf(r))))
		}
	})(gateway)
}

func bodyOf(r *http.Request) []byte {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

func rewrite(r *http.Request, change func(map[string]any)) {
	body := edit(bodyOf(r), change)
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
}

// edit changes a JSON object; anything else stays as it is.
func edit(body []byte, change func(map[string]any)) []byte {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&object) != nil {
		return body
	}
	change(object)
	changed, _ := json.Marshal(object)
	return changed
}

// mansEverything declares a worker for every role before it asks for work of it.
func mansEverything() func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && r.URL.Path == "/api/fleet/dispatches" && r.Header.Get("Authorization") != "" {
				var asked struct{ Role string }
				if json.Unmarshal(bodyOf(r), &asked) == nil && strings.HasSuffix(asked.Role, "-lack") {
					declare := httptest.NewRequest(http.MethodPut, "/api/fleet/agents/"+asked.Role+"-5", strings.NewReader(`{}`))
					declare.Header.Set("Authorization", r.Header.Get("Authorization"))
					declare.Header.Set("Content-Type", "application/json")
					declare.Header.Set("Idempotency-Key", rand.Text())
					gateway.ServeHTTP(httptest.NewRecorder(), declare)
				}
			}
			gateway.ServeHTTP(w, r)
		})
	}
}

// refusing answers a request whose body holds something with a problem.
func refusing(path, holds, code string, status int) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, path) || !bytes.Contains(bodyOf(r), []byte(holds)) {
				gateway.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, `{"type":"/problems/%[1]s","title":"Conflict","status":%[2]d,"code":%[1]q,"detail":"Not now."}`, code, status)
		})
	}
}

// retryTwice answers a retry of what was retried already as the first one was answered.
func retryTwice() func(http.Handler) http.Handler {
	var mutex sync.Mutex
	first := make(map[string][]byte)
	return alter(func(r *http.Request, a *httptest.ResponseRecorder) []byte {
		mutex.Lock()
		defer mutex.Unlock()
		switch {
		case !strings.HasSuffix(r.URL.Path, "/retry"):
		case a.Code == http.StatusCreated:
			first[r.URL.Path] = a.Body.Bytes()
		case bytes.Contains(a.Body.Bytes(), []byte("already_retried")):
			a.Code = http.StatusCreated
			a.Header().Set("Content-Type", "application/json")
			return first[r.URL.Path]
		}
		return a.Body.Bytes()
	})
}

// claimTwice answers every claim in the race with the first one's answer.
func claimTwice() func(http.Handler) http.Handler {
	var mutex sync.Mutex
	var first []byte
	return func(gateway http.Handler) http.Handler {
		altered := alter(func(_ *http.Request, a *httptest.ResponseRecorder) []byte {
			mutex.Lock()
			defer mutex.Unlock()
			if first == nil {
				first = a.Body.Bytes()
			}
			return first
		})(gateway)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/api/fleet/claims" && bytes.Contains(bodyOf(r), []byte("-race")) {
				altered.ServeHTTP(w, r)
				return
			}
			gateway.ServeHTTP(w, r)
		})
	}
}

// events takes the log apart and tells what tell makes of the messages so far, of which the last is new.
func events(tell func(told []string) []string) func(http.Handler) http.Handler {
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/api/fleet/events" {
				gateway.ServeHTTP(w, r)
				return
			}
			gateway.ServeHTTP(&retelling{ResponseWriter: w, tell: tell}, r)
		})
	}
}

type retelling struct {
	http.ResponseWriter
	tell func([]string) []string
	rest string
	told []string
}

func (r *retelling) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *retelling) Write(part []byte) (int, error) {
	if r.Header().Get("Content-Type") != "text/event-stream" {
		return r.ResponseWriter.Write(part)
	}
	r.rest += string(part)
	for {
		message, rest, whole := strings.Cut(r.rest, "\n\n")
		if !whole {
			return len(part), nil
		}
		r.rest, r.told = rest, append(r.told, message+"\n\n")
		for _, message := range r.tell(r.told) {
			if _, err := io.WriteString(r.ResponseWriter, message); err != nil {
				return 0, err
			}
		}
	}
}

func isOf(message, kind string) bool { return strings.Contains(message, "\nevent: "+kind+"\n") }

// holdBack tells a kind of event after the one that follows it.
func holdBack(kind string) func([]string) []string {
	return func(told []string) []string {
		last := told[len(told)-1]
		var now []string
		if !isOf(last, kind) {
			now = append(now, last)
		}
		for i := len(told) - 2; i >= 0 && isOf(told[i], kind) && !isOf(last, kind); i-- {
			now = append(now, told[i])
		}
		return now
	}
}

func lose(kind string) func([]string) []string {
	return func(told []string) []string {
		if isOf(told[len(told)-1], kind) {
			return nil
		}
		return told[len(told)-1:]
	}
}

// limiting refuses what a token asks beyond 40 requests of who it is, until a second has passed.
func limiting(b *bundle, after string) func(http.Handler) http.Handler {
	var mutex sync.Mutex
	asked, until := map[string]int{}, map[string]time.Time{}
	return func(gateway http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			mutex.Lock()
			asked[token]++
			if asked[token] == 40 {
				until[token] = time.Now().Add(time.Second)
			}
			wait := time.Until(until[token])
			mutex.Unlock()
			if token == b.admin || r.URL.Path != "/api/fleet/whoami" || wait <= 0 {
				gateway.ServeHTTP(w, r)
				return
			}
			w.Header().Set("Content-Type", "application/problem+json")
			if after != "" {
				w.Header().Set("Retry-After", after)
			}
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = io.WriteString(w, `{"type":"/problems/rate_limited","title":"Too Many Requests","status":429,"code":"rate_limited","detail":"Too many.","next_step":"Wait."}`)
		})
	}
}
