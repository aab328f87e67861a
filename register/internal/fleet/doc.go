// Package fleet is the central register: the Postgres schema fleet and every rule about writing to it. Only the gateway
// may use it. What it hands out is JSON in the shape of the gateway API, so that events, stored answers and replies are one.
//
// # Locks
//
// Every writer takes its locks in this order, so that none can wait in a circle: idempotency key, proposal, the pause, the tenant's set of
// windows, agents, windows by ID, dispatches, counters. The set is shared by all who judge and taken alone by who adds or ends a window, and by
// an agent that joins: a row lock cannot cover a row that is not there yet. The pause is shared by who admits or claims, and taken alone by who pauses or resumes.
package fleet

//go:generate go tool -modfile=../../../.tools/go.mod sqlc generate
