# Everything that is to be done with Mailbrook. "make" lists it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CACHE := $(CURDIR)/.cache
BIN := $(CURDIR)/bin
# The program that the tests start.
TESTED := $(CACHE)/mailbrook
# Checks that could not be made here: counted and named at the end, never silent.
NOT_RUN := $(CACHE)/not-run

GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(CACHE)/bin/golangci-lint-$(GOLANGCI_VERSION)
GOVULNCHECK_VERSION := v1.8.0
# What checks the public document and makes its TypeScript client, from npm; the
# versions stand in .ci/api.
API_TOOLS := $(CACHE)/api
FUZZTIME ?= 20s
VERSION ?= $(shell git describe --tags --dirty 2>/dev/null || echo dev)
# The commit, with tags or without: a clone need not have them.
REVISION ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)$(shell git diff-index --quiet HEAD 2>/dev/null; [ $$? != 1 ] || echo ", with changes")
# Extra arguments: make run ARGS="--trickle 3s", make test TESTARGS="-run Policy".
ARGS ?=
TESTARGS ?=

.PHONY: help
help: ## Say what there is to do
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Show it: a sample mail provider inside the process, two accounts, mail arriving
	@exec $(BIN)/mailbrook demo $(ARGS)

.PHONY: build
build: ## Build bin/mailbrook
	CGO_ENABLED=0 go build -trimpath -ldflags "-X main.version=$(VERSION) -X 'main.revision=$(REVISION)'" -o $(BIN)/mailbrook ./cmd/mailbrook

.PHONY: quick
quick: ## Run each package's tests, in a minute: no race detector, proofs at a stride; says what it left
	@.ci/quick $(TESTARGS)

.PHONY: test
test: parts ## Run everything: lint, all tests under the race detector, real servers, a minute of fuzzing
	@mkdir -p $(CACHE) && : > $(NOT_RUN)
	@$(MAKE) --no-print-directory lint api-lint
	go build -buildvcs=false -o $(TESTED) ./cmd/mailbrook
	MAILBROOK_BUILT=$(TESTED) MAILBROOK_NOT_RUN=$(NOT_RUN) CGO_ENABLED=1 go test -race -shuffle=on -timeout 30m $(TESTARGS) ./...
	@$(MAKE) --no-print-directory fuzz-minute
	@$(MAKE) --no-print-directory vuln
	@echo "make test: all well; checks not made here: $$(wc -l < $(NOT_RUN))"; cat $(NOT_RUN)

.PHONY: lint
lint: vet generated $(GOLANGCI) ## Vet, formatting, golangci-lint, generated files
	@mkdir -p $(CACHE)
	@if [ -x $(GOLANGCI) ]; then set -x; $(GOLANGCI) run --allow-parallel-runners; else \
		unformatted=$$(gofmt -l $$(go list -f '{{.Dir}}' ./...)); \
		if [ -n "$$unformatted" ]; then echo "gofmt these: $$unformatted"; exit 1; fi; fi

.PHONY: vet
vet:
	go vet ./...

.PHONY: generated
generated:
	@.ci/generated

# Where the linter cannot be had, that is noted; in CI it is an error.
$(GOLANGCI):
	@mkdir -p $(CACHE)/bin
	@if GOBIN=$(CACHE)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION); then \
		mv $(CACHE)/bin/golangci-lint $@; \
	elif [ -n "$$CI" ]; then echo "golangci-lint $(GOLANGCI_VERSION) could not be built, and CI needs it"; exit 1; \
	else echo "  golangci-lint: could not be built, see above" | tee -a $(NOT_RUN); fi

# Redocly reports nothing to its makers. What cannot be installed is noted, here
# and by the test of the TypeScript client.
.PHONY: api-lint
api-lint: export REDOCLY_TELEMETRY := off
api-lint: export REDOCLY_SUPPRESS_UPDATE_NOTICE := true
api-lint: $(API_TOOLS)/installed ## Hold api/openapi.yaml against Redocly's and Spectral's rules
	@[ ! -x $(API_TOOLS)/node_modules/.bin/redocly ] || { \
		said=$$($(API_TOOLS)/node_modules/.bin/redocly lint --config .ci/api/redocly.yaml api/openapi.yaml 2>&1) || { echo "$$said"; exit 1; }; \
		$(API_TOOLS)/node_modules/.bin/spectral lint --ruleset .ci/api/spectral.yaml --fail-severity hint --quiet api/openapi.yaml; }

$(API_TOOLS)/installed: .ci/api/package.json .ci/api/package-lock.json
	@rm -rf $(API_TOOLS) && mkdir -p $(API_TOOLS) && cp $^ $(API_TOOLS)
	@if cd $(API_TOOLS) && timeout 300 npm ci --ignore-scripts --no-audit --no-fund >npm.log 2>&1; then touch $@; else rm -rf node_modules; \
		echo "  api-lint and the TypeScript client: npm could not install their tools: $$(grep -m 1 'npm error' npm.log)" | tee -a $(NOT_RUN); fi

# A vulnerability found in a library makes no commit wrong that was right
# before: it is shown here, and an error for "make vuln VULN=strict".
.PHONY: vuln
vuln: ## Look for known vulnerabilities, where their database can be reached
	@mkdir -p $(CACHE)
	@if timeout 300 go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION) ./... > $(CACHE)/govulncheck 2>&1; then cat $(CACHE)/govulncheck; \
	elif grep -q '^Vulnerability #' $(CACHE)/govulncheck; then cat $(CACHE)/govulncheck; [ "$(VULN)" != strict ]; \
	else echo "  govulncheck did not run: $$(sed -n 's/^govulncheck: //p' $(CACHE)/govulncheck | head -n 1)" | tee -a $(NOT_RUN); fi

.PHONY: fuzz
fuzz: ## Fuzz every target for FUZZTIME
	@.ci/fuzz $(FUZZTIME)

.PHONY: fuzz-minute
fuzz-minute: ## Fuzz every target for a second or two: a minute in all
	@.ci/fuzz in 60

.PHONY: bench
bench: ## Measure beside mbsync, mpop, fetchmail, …: make bench ARGS="-cases A0,C40 -rounds 3"
	go run ./internal/mailtest/bench $(ARGS)

.PHONY: soak
soak: ## Chaos over 30 accounts for a given time: make soak ARGS="-for 1h"
	go run ./internal/mailtest/soak $(ARGS)

.PHONY: test-long
test-long: parts ## The long versions of the proofs of exactly-once delivery
	MAILBROOK_TEST_LONG=1 MAILBROOK_NOT_RUN=$(NOT_RUN) go test -count=1 -timeout 3h ./internal/fetch ./internal/imapbox ./internal/maildir ./internal/source ./internal/store
	MAILBROOK_TEST_LONG=1 MAILBROOK_NOT_RUN=$(NOT_RUN) go test -count=1 -timeout 1h -run GiantMailboxes ./cmd/mailbrook

.PHONY: test-servers
test-servers: parts ## Run real servers through one cycle each, and write docs/servers.md
	MAILBROOK_TEST_SERVERS=$(CURDIR)/docs/servers.md go test -count=1 -timeout 1h -run '^TestRealServers' ./cmd/mailbrook

.PHONY: generate
generate: ## Make the generated files again
	go generate ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the source
	$(GOLANGCI) fmt

.PHONY: clean
clean: ## Remove what was built, and the linters
	rm -rf $(BIN) $(CACHE)

# What the tests need besides Go: real servers, which they start and stop
# themselves, a C compiler for the race detector, and Node.js for the public
# document and its TypeScript client. Debian starts services
# of packages that it installs; RUNLEVEL=1 asks it not to.
PACKAGES := dovecot-core dovecot-imapd dovecot-pop3d postgresql chromium-headless-shell gcc libc6-dev nodejs npm zsh fish groff-base
CYRUS := internal/mailtest/install-cyrus.sh

.PHONY: parts
parts:
	@missing=; \
	have() { ls $$1 >/dev/null 2>&1 || missing="$$missing $$2"; }; \
	have /usr/sbin/dovecot dovecot-core; have /usr/lib/dovecot/imap dovecot-imapd; have /usr/lib/dovecot/pop3 dovecot-pop3d; \
	have '/usr/lib/postgresql/*/bin/postgres' postgresql; \
	{ command -v chromium-headless-shell || command -v chromium; } >/dev/null || missing="$$missing chromium-headless-shell"; \
	command -v node >/dev/null || missing="$$missing nodejs"; command -v npm >/dev/null || missing="$$missing npm"; \
	command -v gcc >/dev/null || missing="$$missing gcc"; [ -e /usr/include/stdlib.h ] || missing="$$missing libc6-dev"; \
	command -v zsh >/dev/null || missing="$$missing zsh"; command -v fish >/dev/null || missing="$$missing fish"; \
	command -v groff >/dev/null || missing="$$missing groff-base"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
			echo "make test needs what is missing here:$$missing. On Debian, as root: apt-get install $(PACKAGES)"; exit 1; fi; \
		echo "installing$$missing"; export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1; \
		{ apt-get update -q && apt-get install -qy --no-install-recommends $$missing; } </dev/null || { \
			echo "make test could not install what is missing. By hand: apt-get install $(PACKAGES)"; exit 1; }; \
	fi
	@$(CYRUS) </dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -q </dev/null && $(CYRUS) </dev/null; } || { \
		echo "make test needs Cyrus IMAP, unpacked: $(CYRUS) (on Debian, after apt-get update)"; exit 1; }
