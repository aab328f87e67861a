// Package foreign tests the bot with people at clients that share no code with it: matrix-js-sdk with its Rust crypto. The
// tests need Node, so they stand behind the build tag foreign; `make test-foreign` installs what they need and runs them.
package foreign
