package register

import "context"

// Rings lists the windows at refuse that wake the operators and have not eased.
func (a *API) Rings(ctx context.Context, by By) (RingList, error) {
	response, err := a.calls.GetRings(ctx, &GetRingsParams{MosaicActor: optional(by.Actor)})
	return answer[RingList](response, err)
}

// AckRings acknowledges rings, all that have not eased if none is named; the answer is a RingList.
func AckRings(rings ...string) Mutation {
	return mutation(NewAckRingsRequest(nowhere, &AckRingsParams{}, AckRequest{Rings: rings}))
}

// SetRoomVerbosity says how much a bound room is told of the budget; the answer is a RoomBinding.
func SetRoomVerbosity(room string, verbosity Verbosity) Mutation {
	return mutation(NewSetRoomVerbosityRequest(nowhere, room, &SetRoomVerbosityParams{}, VerbosityRequest{Verbosity: verbosity}))
}
