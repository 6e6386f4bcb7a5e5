# Nacre (珠云): a complete cloud in one binary. `make help` lists the targets.

SHELL      := /bin/bash
DATA       ?= /var/lib/nacre
LISTEN     ?= 127.0.0.1:5000
HOSTS      ?= 2
MINUTES    ?= 10
GOFLAGS    ?= -buildvcs=false
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
WEB_SOURCE := $(shell find web -path web/node_modules -prune -o -type f -print 2>/dev/null)
WEB_BUILT  := internal/console/dist/index.html
GO_BUILD   := go build -trimpath -ldflags "-s -w -X nacre/internal/app.Version=$(VERSION)"
# Half the time is enough to see that something compiles.
UNOPTIMISED := -gcflags='all=-N -l'

# What make test runs on PostgreSQL, besides on SQLite: where transactions meet.
ON_POSTGRES     := $(addprefix ./internal/,db work/... quota hosts placement/... network/... compute/api)
APP_ON_POSTGRES := -run 'Plan|Backup|Move|Kill' ./internal/app

export CGO_ENABLED = 0
export GOFLAGS

.PHONY: help demo test test-postgres test-rabbit soak lab build up down dev check bench web web-test deb packages test-packages clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "  DATA=$(DATA) LISTEN=$(LISTEN) can be set on the command line."

demo: packages build ## a cloud on this machine, with a guest you can log in to
	@bin/nacre up --detach --data-dir "$(DATA)" --listen "$(LISTEN)"
	@bin/demo --data-dir "$(DATA)"

test: test-packages build web-test ## the whole test suite
	@go run ./build/testsum ./... -- $(ON_POSTGRES) -- $(APP_ON_POSTGRES)

test-postgres: test-packages build ## the whole suite on PostgreSQL
	@NACRE_TEST_DB=postgres go run ./build/testsum ./...

test-rabbit: test-packages build ## the whole suite on PostgreSQL with the broker BUS=amqp://...
	@NACRE_TEST_DB=postgres NACRE_TEST_BUS="$${BUS:?say which broker: BUS=amqp://guest:guest@127.0.0.1/}" go run ./build/testsum ./...

soak: test-packages build ## break a cluster, simulated hosts, and three real ones, for MINUTES (default 10) while users work; SEED=N repeats a run
	@NACRE_SOAK_MINUTES=$(MINUTES) NACRE_TEST_SEED=$(SEED) go test ./internal/soak -run 'TestClusterUnderFaults|TestCampaign' -count 1 -v -timeout 0
	@NACRE_SOAK_MINUTES=$(MINUTES) NACRE_TEST_SEED=$(SEED) go test ./internal/app/threehosts -run TestHostsUnderFaults -count 1 -v -timeout 0

lab: test-packages ## three real hosts for as long as the command RUN takes, which finds openrc in its folder
	@NACRE_LAB="$${RUN:?say which command, with its whole path: RUN='/path/to/script ...'}" go test ./internal/app/threehosts -run 'TestClient$$' -count 1 -v -timeout 0

build: web ## bin/nacre with the dashboard in it
	@mkdir -p bin
	@echo "building bin/nacre $(VERSION) (the first time takes some minutes)"
	@$(GO_BUILD) -o bin/nacre ./cmd/nacre
	@go build -trimpath -o bin/demo ./cmd/demo

up: packages build ## start the one-machine cloud in the background
	@bin/nacre up --detach --data-dir "$(DATA)" --listen "$(LISTEN)"

down: ## stop it; guests keep running (ALL=1: guests too, nothing left behind)
	@if [ -x bin/nacre ]; then bin/nacre down --data-dir "$(DATA)" $(if $(ALL),--all) $(if $(YES),--yes); \
	 else echo "nothing was built, so nothing runs"; fi

dev: build ## a simulated cloud in the foreground, no root needed
	@bin/nacre dev --listen "$(LISTEN)" --data-dir .nacre/dev --hosts $(HOSTS)

check: test-packages web ## linters
	@test -z "$$(gofmt -l cmd internal build)" || { gofmt -l cmd internal build; echo "run gofmt -w on these"; exit 1; }
	@go vet ./...
	@mkdir -p .nacre
	@cd tools && go build -o ../.nacre/staticcheck honnef.co/go/tools/cmd/staticcheck
	@.nacre/staticcheck ./...
	@for to in linux/arm64 darwin/arm64 windows/amd64; do \
	   GOOS=$${to%/*} GOARCH=$${to#*/} go build $(UNOPTIMISED) -o /dev/null ./cmd/nacre || { echo "this is what does not compile for $$to"; exit 1; }; done
	@cd web && PATH="$(CURDIR)/.nacre/node/bin:$$PATH" npm run --silent check

bench: ## figures, printed as they are measured
	@go test -run '^$$' -bench . -skip HundredThousand -benchtime 2s ./...
	@go test -run '^$$' -bench HundredThousand -benchtime 1x -timeout 30m ./internal/app

web: $(WEB_BUILT)

$(WEB_BUILT): $(WEB_SOURCE)
	@build/node.sh
	@echo "building the dashboard"
	@cd web && PATH="$(CURDIR)/.nacre/node/bin:$$PATH" npm ci --no-audit --no-fund --loglevel=error && \
	 PATH="$(CURDIR)/.nacre/node/bin:$$PATH" npm run --silent build
	@touch $@

web-test: web
	@cd web && PATH="$(CURDIR)/.nacre/node/bin:$$PATH" npm test --silent

packages:
	@build/packages.sh run

test-packages:
	@build/packages.sh run test

deb: web ## Debian packages for amd64 and arm64, in bin/
	@for arch in amd64 arm64; do \
	   GOARCH=$$arch $(GO_BUILD) -o bin/nacre-$$arch ./cmd/nacre && build/deb/build.sh $$arch "$(VERSION)" bin/nacre-$$arch bin || exit 1; done

clean: ## remove what was built
	rm -rf bin web/node_modules
	find internal/console/dist -mindepth 1 ! -name .keep -delete
