# `make` alone prints what there is. Everything else that is set up is set up by the Go code the targets start.
.DEFAULT_GOAL := help
SHELL := /bin/sh
MAKEFLAGS += --no-print-directory

GO_NEEDED := 26
TAGS := -tags goolm
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
TOOL := go tool -modfile=.tools/go.mod
TESTBED := go run $(TAGS) ./deploy/local/testbed
GENERATED := find . -path ./.mosaic -prune -o \( -name '*.gen.go' -o -path './register/internal/fleet/query/*' \) -type f -print
export CGO_ENABLED ?= 0

# given turns a variable of the command line, never one of the environment, into a flag: $(call given,HOST,--host)
given = $(if $(filter command,$(origin $1)),$2 '$($1)')

.PHONY: help
help: ## Print this
	@echo 'usage: make TARGET'
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

.PHONY: go
go:
	@command -v go >/dev/null || { echo 'mosaic-matrix needs Go 1.$(GO_NEEDED) or newer, and there is no go on PATH; get it from https://go.dev/dl' >&2; exit 1; }
	@said=$$(go env GOVERSION 2>/dev/null); minor=$$(echo "$$said" | sed -n 's/^.*go1\.\([0-9]*\).*/\1/p'); \
	if [ "$${minor:-0}" -lt $(GO_NEEDED) ]; then \
		echo "mosaic-matrix needs Go 1.$(GO_NEEDED) or newer, and this is $$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || echo "an older one"); get it from https://go.dev/dl" >&2; exit 1; \
	fi

.PHONY: build
build: go ## Build the one static binary, bin/mosaic-matrix
	@CGO_ENABLED=0 go build $(TAGS) -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/mosaic-matrix .

.PHONY: demo
demo: build ## Show the main job, start to finish, on real parts; leaves nothing running
	@exec bin/mosaic-matrix demo

.PHONY: up
up: build ## Set up and stay, with a prompt. SERVER=synapse HOST=0.0.0.0 SERVER_NAME= TLS_CERT= TLS_KEY=, or HOMESERVER=https://… OPERATOR=@you:… BOARD=@a:…,@b:…
	@exec bin/mosaic-matrix up $(call given,SERVER,--server) $(call given,HOST,--host) $(call given,SERVER_NAME,--server-name) \
		$(call given,TLS_CERT,--tls-cert) $(call given,TLS_KEY,--tls-key) \
		$(call given,HOMESERVER,--homeserver) $(call given,OPERATOR,--operator) $(call given,BOARD,--board) $(call given,STATE,--state)

.PHONY: test
test: build shells ## Run all tests on a Postgres and a homeserver of their own (needs zsh and fish; installed on Debian and Ubuntu). PACKAGES=./bot/... ARGS='-run Name -v'
	@$(TESTBED) -- go test -timeout 30m $(TAGS) $(ARGS) $(or $(PACKAGES),./...)

# What the race detector makes slow, or has wait a minute, and finds nothing in that it does not find in other tests: a measure of memory,
# the largest of the simulations, homeservers that only start, the broken gateways of the conformance tests, which are asked what their
# whole one is, and single commands that are late, many, or in many kinds of room, and a model that asks one thing after the other.
RACE_SKIPS := ^(TestALongAuditIsVerifiedWithoutHoldingIt|TestAtSaturationTheGovernorPacesBetterAndWastesNothing|TestThe(Synapse|Dendrite)ExampleRuns|TestABrokenGatewayIsCaughtByTheRightPromise|TestKeysThatComeAMinuteLateRunTheCommandThenAndSaySo|TestAnOAuthTokenIsRenewedBeforeItEndsAndEachRefreshTokenIsUsedOnce|TestBehindAGapOf500EventsAllCommandsRunInOrder|TestEveryRoomVersionTheHomeserverOffersIsARoomLikeAnyOther|TestTheTallyIsThatOfASimpleModelWhateverOrderVotesComeIn)$$
# These test programs that they build without the detector.
RACE_LEAVES := /deploy/(e2e|chaos|program|local/testbed)$$

.PHONY: race
race: build shells ## The same tests with the race detector, but for those of programs (needs a C compiler; installed on Debian and Ubuntu)
	@command -v gcc >/dev/null || command -v clang >/dev/null || $(MAKE) c-compiler
	@$(TESTBED) -- env CGO_ENABLED=1 go test -race -timeout 45m -skip '$(RACE_SKIPS)' $(TAGS) $(ARGS) $(or $(PACKAGES),$$(go list $(TAGS) ./... | grep -vE '$(RACE_LEAVES)'))

.PHONY: c-compiler
c-compiler:
	@$(call installed,gcc libc6-dev,the race detector needs a C compiler)

# Completion is tried in the shells themselves.
.PHONY: shells
shells:
	@command -v zsh >/dev/null && command -v fish >/dev/null || { $(call installed,zsh fish,the tests of completion need zsh and fish); }

# installed gets packages where apt-get has them: $(call installed,PACKAGES,what needs them)
installed = command -v apt-get >/dev/null || { echo '$2; install $1' >&2; exit 1; }; \
	echo 'Installing $1: $2'; as_root=; [ "$$(id -u)" = 0 ] || as_root='sudo -n'; \
	$$as_root apt-get update -q >/dev/null && $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $1 >/dev/null \
		|| { echo '$2, and $1 could not be installed; do it by hand: apt-get install $1' >&2; exit 1; }

.PHONY: test-synapse
test-synapse: build ## The tests that talk Matrix, on Synapse instead of Dendrite: without limits, then the bot under its stock limits
	@$(TESTBED) -server synapse -- go test -p 1 -timeout 30m $(TAGS) $(ARGS) $(or $(PACKAGES),./bot/... ./deploy/local/client/... ./deploy/e2e/...)
	@$(TESTBED) -server synapse -limits -- go test -count=1 -timeout 15m $(TAGS) -v -run UnderStockLimits ./bot

.PHONY: soak
soak: build ## Kill the bot at every step with the homeserver restarted in between, twenty times in a row. SOAK=5
	@$(TESTBED) -- env SOAK=$(or $(SOAK),20) go test -count=1 -timeout 6h $(TAGS) -v -run '^TestKilledAtEveryStep' ./bot

# The foreign client is a Node program; what it needs is installed as its lock file says whenever that changed.
FOREIGN := deploy/foreign/node_modules/.package-lock.json
$(FOREIGN): deploy/foreign/package.json deploy/foreign/package-lock.json
	@node --version 2>/dev/null | grep -Eq '^v(2[0-9]|[3-9][0-9])\.' && command -v npm >/dev/null || { echo 'the foreign client needs Node 20 or newer with npm; get it from https://nodejs.org' >&2; exit 1; }
	@cd deploy/foreign && npm ci --loglevel=error && touch node_modules/.package-lock.json

.PHONY: test-foreign
test-foreign: build $(FOREIGN) ## The bot with people at clients that share no code with it (Rust crypto; needs Node 20)
	@$(TESTBED) -- go test $(TAGS),foreign -count=1 $(ARGS) ./deploy/foreign

.PHONY: foreign-look
foreign-look: build $(FOREIGN) ## Draw every kind of reply as a phone shows it, into .mosaic/look (needs Chromium)
	@$(TESTBED) -- go test $(TAGS),foreign,look -count=1 -v -run '^TestATour' ./deploy/foreign

.PHONY: chaos
chaos: build ## Kill gateways under load and audit the register. CHAOS=5m for longer
	@$(TESTBED) -- env $(if $(CHAOS),CHAOS='$(CHAOS)') go test $(TAGS) -count=1 -v -timeout 2h ./deploy/chaos

.PHONY: fuzz
fuzz: go ## Alter requests of every operation for a minute and look for an answer that blames the gateway. FUZZ=10m
	@$(TESTBED) -- go test $(TAGS) -run '^$$' -fuzz FuzzNoRequestBreaksTheGateway -fuzztime $(or $(FUZZ),60s) -fuzzminimizetime 20x ./register/gateway

.PHONY: bench
bench: go ## Run every benchmark there is
	@$(TESTBED) -- go test $(TAGS) -run '^$$' -bench $(or $(BENCH),.) -benchmem $(or $(PACKAGES),./...)

.PHONY: lint
lint: go ## go vet, staticcheck, gofumpt
	@go vet $(TAGS),foreign,look ./...
	@$(TOOL) staticcheck $(TAGS),foreign,look ./...
	@said=$$($(TOOL) gofumpt -l $$(find . \( -path ./.mosaic -o -name node_modules \) -prune -o -name '*.go' ! -name '*.gen.go' -print)); \
	[ -z "$$said" ] || { echo "not formatted (go tool -modfile=.tools/go.mod gofumpt -w FILE):" >&2; echo "$$said" >&2; exit 1; }

.PHONY: generate
generate: go ## Generate code from the contract and the queries
	@go generate $(TAGS) ./...

.PHONY: drift
drift: go ## Fail if generated code is not what `make generate` makes
	@before=$$($(GENERATED) | sort | xargs cksum); $(MAKE) generate; after=$$($(GENERATED) | sort | xargs cksum); \
	[ "$$before" = "$$after" ] || { echo 'generated code was not up to date; it is now, so look at the difference and commit it:' >&2; git status --short >&2; exit 1; }

.PHONY: clean
clean: ## Remove what was built and all local state, passwords and data included
	@find .mosaic -name cluster-lies-in -exec sh -c 'rm -rf -- "$$(cat "$$1")"' sh {} \; 2>/dev/null || true
	@rm -rf .mosaic bin deploy/foreign/node_modules
