// Package local starts everything the system needs on this machine: a private Postgres cluster, a local homeserver, and
// child processes that cannot outlive their parent. The demo, `up` and the tests stand on it; production does not use it.
package local
