package terminal

// Completer is what the prompt completes with.
var Completer = completer
