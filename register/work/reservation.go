package work

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"git.mosaicstack.dev/mosaicstack/mosaic-matrix/register"
)

// reservation is what a run may spend, unit by unit, and what it has metered so far. A unit that no window holds is not bounded.
type reservation struct {
	worker *Worker
	claim  register.Claim
	place  folder

	mutex   sync.Mutex
	may     map[register.Unit]int64 // what is reserved, in micro-units
	first   map[register.Unit]int64 // what was at the start
	holds   []register.Hold
	metered map[register.Unit]int64
	refused map[register.Unit]bool // more was asked for and refused
}

func newReservation(w *Worker, claim register.Claim, place folder) *reservation {
	r := &reservation{
		worker: w, claim: claim, place: place, holds: claim.Dispatch.Holds, may: make(map[register.Unit]int64),
		metered: make(map[register.Unit]int64), refused: make(map[register.Unit]bool),
	}
	for _, hold := range r.holds {
		if least, known := r.may[hold.Unit]; !known || hold.Micros < least {
			r.may[hold.Unit] = hold.Micros
		}
	}
	r.first = make(map[register.Unit]int64, len(r.may))
	for unit, micros := range r.may {
		r.first[unit] = micros
	}
	return r
}

// reserved is what may be spent, one amount a unit, by name.
func (r *reservation) reserved() []register.Amount {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return listed(r.may)
}

// spent is what was metered so far, one amount a unit, by name.
func (r *reservation) spent() []register.Amount {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return listed(r.metered)
}

func listed(amounts map[register.Unit]int64) []register.Amount {
	var out []register.Amount
	for unit, micros := range amounts {
		out = append(out, register.Amount{Unit: unit, Micros: micros})
	}
	slices.SortFunc(out, func(a, b register.Amount) int { return cmp.Compare(a.Unit, b.Unit) })
	return out
}

// note takes over what the command says it has spent so far; spend is not taken back.
func (r *reservation) note(spent []register.Amount) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, amount := range spent {
		r.metered[amount.Unit] = max(r.metered[amount.Unit], amount.Micros)
	}
}

// nearly says whether four fifths of a reservation are spent.
func nearly(spent, may int64) bool { return spent > 0 && spent >= may-may/5 }

// keepUp asks for more of every unit of which four fifths are spent. The answer is a unit that is used up and was refused more of, and why;
// none if the run may go on. A unit that was refused is asked for once more when it is used up.
func (r *reservation) keepUp(ctx context.Context) (usedUp register.Unit, why error) {
	for _, amount := range r.spent() {
		may, bounded := r.bound(amount.Unit)
		if !bounded || !nearly(amount.Micros, may) {
			continue
		}
		over := amount.Micros >= may
		if r.refused[amount.Unit] && !over {
			continue
		}
		step := (max(r.first[amount.Unit], amount.Micros) + 1) / 2
		err := r.extend(ctx, register.Amount{Unit: amount.Unit, Micros: max(may, amount.Micros) + step})
		switch {
		case err == nil:
			delete(r.refused, amount.Unit)
		case register.CodeOf(err) != register.ProblemCodeCapReached:
			zerolog.Ctx(ctx).Warn().Err(err).Msg("asking for more was not answered; asking again")
		case over:
			return amount.Unit, detail(err)
		default:
			r.refused[amount.Unit] = true
			zerolog.Ctx(ctx).Warn().Err(err).Str("unit", string(amount.Unit)).Msg("the reservation was not extended; the command goes on until it is used up")
		}
	}
	return "", nil
}

// detail is the sentence of a refusal without its next step, which speaks to a person.
func detail(err error) error {
	var refusal *register.Error
	if errors.As(err, &refusal) {
		return errors.New(refusal.Detail)
	}
	return err
}

func (r *reservation) bound(unit register.Unit) (may int64, bounded bool) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	may, bounded = r.may[unit]
	return may, bounded
}

func (r *reservation) extend(ctx context.Context, wanted register.Amount) error {
	var extension register.Extension
	err := r.worker.send(ctx, uuid.NewString(), register.ExtendDispatch(r.claim.Dispatch.ID, register.ExtendRequest{
		Claim: r.claim.ID, Reserve: []register.Amount{wanted},
	}), &extension)
	if err != nil {
		return err
	}
	r.mutex.Lock()
	for _, amount := range extension.Reserved {
		r.may[amount.Unit] = amount.Micros
	}
	r.holds = extension.Holds
	r.mutex.Unlock()
	zerolog.Ctx(ctx).Info().Interface("reserved", extension.Reserved).Msg("the reservation was extended")
	return r.write()
}

// write tells the command what it may spend, whole at any moment it is read.
func (r *reservation) write() error {
	content, err := json.MarshalIndent(map[string]any{"reserved": r.reserved(), "holds": r.holds}, "", "  ")
	if err != nil {
		return fmt.Errorf("writing what is reserved: %w", err)
	}
	if err := os.WriteFile(r.place.reserved()+".new", content, 0o600); err != nil {
		return fmt.Errorf("writing what is reserved: %w", err)
	}
	if err := os.Rename(r.place.reserved()+".new", r.place.reserved()); err != nil {
		return fmt.Errorf("writing what is reserved: %w", err)
	}
	return nil
}
