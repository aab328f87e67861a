package bot

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/client"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/deploy/local/localtest"
	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// gate is a homeserver's limit on messages: a leaky bucket, as Synapse has it, or shut.
type gate struct {
	mutex   sync.Mutex
	bucket  limiter
	shut    bool
	inBody  bool
	taken   []string // transaction IDs, in order
	typings int
}

func (g *gate) instead(w http.ResponseWriter, r *http.Request) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if strings.Contains(r.URL.Path, "/typing/") {
		g.typings++
	}
	if !sends(r) && !strings.Contains(r.URL.Path, "/redact/") {
		return false
	}
	ok, wait := false, time.Second
	if !g.shut {
		ok, wait = g.bucket.offer(time.Now())
	} else {
		g.bucket.refusals++
	}
	if ok {
		g.taken = append(g.taken, path.Base(r.URL.Path))
		return false
	}
	g.inBody = !g.inBody // by turns in the body and in the header
	w.Header().Set("Content-Type", "application/json")
	if g.inBody {
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprintf(w, `{"errcode":"M_LIMIT_EXCEEDED","error":"slow down","retry_after_ms":%d}`, wait.Milliseconds()+1)
		return true
	}
	w.Header().Set("Retry-After", fmt.Sprint(int(wait.Seconds())+1))
	w.WriteHeader(http.StatusTooManyRequests)
	fmt.Fprint(w, `{"errcode":"M_LIMIT_EXCEEDED","error":"slow down"}`)
	return true
}

func (g *gate) set(change func()) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	change()
}

func (g *gate) order() []string {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return slices.Clone(g.taken)
}

// gated limits what the homeserver takes.
func (b *bench) gated(perSecond, burst float64) *gate {
	gate := &gate{bucket: limiter{perSecond: perSecond, burst: burst, at: time.Now()}}
	b.homeserver.set(gate.instead)
	return gate
}

func TestWhenNotAllCanBeSaidWakeUpsComeFirstThenRepliesNoticesAndEdits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate := b.gated(1000, 1000)
	running := b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	second, err := b.ada.CreateRoom(t.Context(), client.Room{Name: "other", Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}})
	require.NoError(t, err)
	require.NoError(t, b.ada.WaitUntilJoined(soon(t), second, id.UserID(b.options.UserID)))
	put := func(room id.RoomID, urgency rank, txn string, change ...func(*outgoing)) int64 {
		message := outgoing{Txn: txn, Room: room, Rank: urgency, Type: event.EventMessage.Type, Content: words(txn, nil)}
		for _, apply := range change {
			apply(&message)
		}
		row, err := running.outbox.add(t.Context(), message)
		require.NoError(t, err)
		running.speaking.wake(room)
		return row
	}
	shown := put(b.room, notice, "shown")
	require.Eventually(t, func() bool { sent, _ := running.outbox.isSent(t.Context(), shown); return sent }, patience, tick)
	b.quiet(t)

	gate.set(func() { gate.shut = true })
	put(second, notice, "begun")
	require.Eventually(t, func() bool { return running.sender.pace.limited() }, patience, tick)
	before := len(gate.order())
	edits := func(m *outgoing) { m.About, m.Content = shown, replacing(m.Content) }
	put(b.room, edit, "edit 1", edits)
	put(second, notice, "notice")
	put(b.room, reply, "reply")
	put(second, wakeUp, "wake-up")
	put(b.room, edit, "edit 2", edits)
	gate.set(func() { gate.shut, gate.bucket = false, limiter{perSecond: 4, burst: 1, at: time.Now()} })
	want := []string{"wake-up", "reply", "begun", "notice", "edit 2"}
	require.Eventually(t, func() bool { return len(gate.order()) == before+len(want) }, patience, tick, "what was taken: %v", gate.order()[before:])
	require.Equal(t, want, gate.order()[before:])
	b.quiet(t)
	require.Equal(t, 1, b.count(t, `SELECT count(*) FROM outbox WHERE txn_id = 'edit 1' AND state = 'dropped'`))
}

func TestThatARunBeganIsNotSaidUnderLimitsOnceItsEndIsKnown(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate := b.gated(1000, 1000)
	running := b.start(t)
	b.talk(t)
	asked := b.say(t, "!mosaic dispatch coder \"work\"")
	b.answered(t, asked, "D-1")
	b.quiet(t)
	require.False(t, running.sender.pace.limited(), "the limit is met only with the run under way")

	gate.set(func() { gate.shut = true })
	b.fleet.run(t, "a quarter")
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM outbox WHERE topic = 'dispatch:D-1'`) == 2 && running.sender.pace.limited()
	}, patience, tick)
	gate.set(func() { gate.shut = false })
	b.answered(t, asked, "all green")
	b.quiet(t)
	require.Len(t, b.replies(asked), 2, "the answer and the end")
}

func TestInAStormOfRateLimitsNothingIsLostOrSaidTwiceAndThreadsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate := b.gated(1, 1) // less than any machine asks for
	b.start(t)
	b.talk(t)
	const many = 6
	var asked []id.EventID
	for i := range many {
		asked = append(asked, b.say(t, fmt.Sprintf("!mosaic dispatch coder \"work %d\"", i)))
	}
	require.Eventually(t, func() bool { return len(b.fleet.listDispatches(t)) == many }, patience, tick)
	for range many {
		b.fleet.run(t, "a quarter", "half way")
	}
	for _, event := range asked {
		b.answered(t, event, "all green")
	}
	b.quiet(t)
	for _, event := range asked {
		said := b.replies(event)
		require.GreaterOrEqual(t, len(said), 2)
		require.Contains(t, said[len(said)-1].Body, "all green", "nothing comes after the end")
		texts := map[string]bool{}
		for _, one := range said {
			require.False(t, texts[one.Body], "said twice: %s", one.Body)
			texts[one.Body] = true
			require.NotContains(t, said[0].Body, "running", "the answer comes first")
		}
		require.Equal(t, []string{"✅"}, b.signs(event))
	}
	require.Positive(t, gate.bucket.refusals)
	require.Positive(t, b.count(t, `SELECT refusals FROM limits`))
	require.Zero(t, b.count(t, `SELECT count(*) FROM outbox WHERE state = 'failed'`))
}

func TestAnAnswerThatLimitsHoldUpIsShownToBeComing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate := b.gated(1000, 1000)
	b.start(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	gate.set(func() { gate.shut, gate.typings = true, 0 })
	asked := b.say(t, "!mosaic status")
	require.Eventually(t, func() bool {
		gate.mutex.Lock()
		defer gate.mutex.Unlock()
		return gate.typings > 0
	}, patience, tick)
	gate.set(func() { gate.shut = false })
	b.answered(t, asked, "")
}

func TestABacklogUnderLimitsSurvivesAKilledProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	gate := b.gated(1000, 1000)
	killed := b.process(t)
	b.talk(t)
	b.answered(t, b.say(t, "!mosaic status"), "")
	b.quiet(t)
	gate.set(func() { gate.shut = true })
	var asked []id.EventID
	for range 3 {
		asked = append(asked, b.say(t, "!mosaic dispatch coder \"work\""))
	}
	require.Eventually(t, func() bool {
		return b.count(t, `SELECT count(*) FROM outbox WHERE state IN ('queued', 'sending') AND rank = 2`) == 3
	}, patience, tick)
	require.NoError(t, killed.Process.Kill())
	_, _ = killed.Process.Wait()
	gate.set(func() { gate.shut = false })
	b.start(t)
	for i, event := range asked {
		b.answered(t, event, fmt.Sprintf("D-%d", i+1))
	}
	b.quiet(t)
	for _, event := range asked {
		require.Len(t, b.replies(event), 1)
	}
}

// Every second request to say something fails, each time in another way: refused before or after it was taken, slowly, or cut off.
func TestWithAHomeserverThatFailsHalfTheTimeEveryCommandIsAnsweredOnceAndInOrder(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.start(t)
	b.talk(t)
	ben := localtest.Person(t, "Ben")
	b.fleet.identify(t, "ben", ben.UserID.String(), register.FleetRoleOperator)
	second, err := ben.CreateRoom(t.Context(), client.Room{Name: "other", Invite: []id.UserID{id.UserID(b.options.UserID), b.third(t)}})
	require.NoError(t, err)
	require.NoError(t, ben.WaitUntilJoined(soon(t), second, id.UserID(b.options.UserID)))
	var mutex sync.Mutex
	chance := rand.New(rand.NewPCG(5, 3))
	ways := map[string]int{}
	b.homeserver.set(func(w http.ResponseWriter, r *http.Request) bool {
		if !sends(r) {
			return false
		}
		mutex.Lock()
		way := []string{"", "", "", "", "500", "502 after it was taken", "slow", "cut off after it was taken", "cut off"}[chance.IntN(9)]
		ways[way]++
		mutex.Unlock()
		switch way {
		case "500":
			w.WriteHeader(http.StatusInternalServerError)
		case "502 after it was taken":
			b.homeserver.forward.ServeHTTP(httptest.NewRecorder(), r)
			w.WriteHeader(http.StatusBadGateway)
		case "slow":
			time.Sleep(1500 * time.Millisecond)
			return false
		case "cut off after it was taken":
			b.homeserver.forward.ServeHTTP(httptest.NewRecorder(), r)
			cut()
		case "cut off":
			cut()
		default:
			return false
		}
		return true
	})
	const many = 6
	var asked, bens []id.EventID
	for i := range many {
		asked = append(asked, b.say(t, fmt.Sprintf("!mosaic dispatch coder \"ada's %d\"", i)))
		event, err := ben.Say(t.Context(), second, fmt.Sprintf("!mosaic dispatch coder \"ben's %d\"", i))
		require.NoError(t, err)
		bens = append(bens, event)
	}
	for i := range asked {
		b.answered(t, asked[i], "D-")
		_, err := ben.WaitFor(soon(t), b.fromBot(), client.InThread(bens[i]), client.Contains("D-"))
		require.NoError(t, err)
	}
	b.quiet(t)
	requireOnceAndInOrder(t, b.ada.Seen(), id.UserID(b.options.UserID), asked)
	requireOnceAndInOrder(t, ben.Seen(), id.UserID(b.options.UserID), bens)
	require.Len(t, b.fleet.listDispatches(t), 2*many)
	require.GreaterOrEqual(t, len(ways), 4, "%v", ways)
}

// requireOnceAndInOrder requires that each command got one answer, and the answers came in the commands' order.
func requireOnceAndInOrder(t *testing.T, seen []client.Seen, bot id.UserID, asked []id.EventID) {
	t.Helper()
	var answered []id.EventID
	for _, one := range seen {
		if one.Sender == bot && one.ThreadRoot != "" && one.EditOf == "" {
			answered = append(answered, one.ThreadRoot)
		}
	}
	require.Equal(t, asked, answered)
}
