# Each target sets up what it needs; `make` alone lists them.

HOST ?= localhost
PORT ?= 8080

VERSION := 0.1.0
COMMIT := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
GO_FILES := $(shell find . -name '*.go' -not -path './.*') go.mod go.sum

PYTHON := .venv/bin/python
VENV := .venv/installed
SDISTS := .venv/sdists/unpacked
# A virtual environment of the caller's must not get in between.
unexport VIRTUAL_ENV PYTHONPATH PYTHONHOME

.PHONY: help
help:
	@echo 'make demo    run the demonstration at http://$(HOST):$(PORT)/ (HOST=... PORT=...)'
	@echo 'make test    every test and the linters'
	@echo 'make full    what make test runs shorter: full-store, full-sessions and full-gateway, with SOAK=3600 seconds of load'
	@echo 'make fuzz    each fuzz target for FUZZTIME=1m, or those whose name FUZZ=... matches'
	@echo 'make build   bin/alforja'
	@echo 'make bench   paired comparisons with the stock stack, session3 and CPython, at 8 connections'
	@echo 'make bench-all  of all stacks, at 1, 8, 32 and 256 connections, and with one hot session: an hour'
	@echo 'make differential  package pickle beside CPython, on N=... made-up pickles'
	@echo 'make matrix  every Python, Quixote and session3, into docs/compatibility.md'
	@echo 'make lint    the linters alone'
	@echo 'make setup   what tests and benchmarks need: .venv, Debian packages'
	@echo 'make clean   remove what the above have made'

.PHONY: setup
setup: $(VENV) $(SDISTS) packages

$(VENV): integration/requirements.txt pyclient/pyproject.toml
	integration/make-venv .venv integration/requirements.txt
	touch $@

$(SDISTS): integration/sdists.txt $(VENV)
	integration/get-sdists .venv integration/sdists.txt .venv/sdists
	touch $@

.PHONY: packages
packages:
	integration/install-packages integration/packages.txt

.PHONY: build
build: bin/alforja

bin/alforja: $(GO_FILES)
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/alforja

bin/alforja-race: $(GO_FILES)
	go build -race -o $@ ./cmd/alforja

.PHONY: demo
demo: $(VENV) build
	mkdir -p .demo
	bin/alforja demo --host $(HOST) --port $(PORT) --python $(PYTHON) --store directory:.demo/sessions

.PHONY: test
test: setup build bin/alforja-race lint
	go test -race ./...
	$(PYTHON) -m pytest -rs pyclient/tests
	$(PYTHON) -m pytest -q -rs integration

# What `make test` runs shorter, each with what it takes.
.PHONY: full
full: full-store full-sessions full-gateway

# 500 kills, and two minutes of Python and Go on the same sessions.
.PHONY: full-store
full-store: setup build bin/alforja-race
	ALFORJA_FULL=1 $(PYTHON) -m pytest -q -s integration/test_store_interplay.py integration/test_store_crash.py

# 100,000 sessions moved between stores, without the race detector.
.PHONY: full-sessions
full-sessions: setup build
	ALFORJA_FULL=1 ALFORJA=$(CURDIR)/bin/alforja $(PYTHON) -m pytest -q --durations=10 \
	  integration/test_round_trips.py integration/test_export.py integration/test_export_sql.py

# Kills, replacements, slow clients, 10 GB. The detector of races would be what slow clients wait for, and what grows.
SOAK ?= 3600
.PHONY: full-gateway
full-gateway: setup build bin/alforja-race
	ALFORJA_FULL=1 $(PYTHON) -m pytest -q -s integration/test_replaced_under_load.py integration/test_killed_under_load.py \
	  integration/test_lying_workers.py
	ALFORJA=bin/alforja ALFORJA_SLOW_CLIENTS=1000 $(PYTHON) -m pytest -q -s integration/test_slow_clients.py
	ALFORJA=bin/alforja ALFORJA_SOAK=$(SOAK) $(PYTHON) -m pytest -q -s integration/test_soak.py

FUZZTIME ?= 1m
FUZZ ?= .
.PHONY: fuzz
fuzz:
	GOMEMLIMIT=256MiB integration/fuzz $(FUZZTIME) '$(FUZZ)'

.PHONY: lint
lint: $(VENV)
	@unformatted=$$(gofmt -l cmd examples gateway integration pickle store); \
	  if [ -n "$$unformatted" ]; then echo "gofmt would change: $$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	cd pyclient && ../.venv/bin/mypy

.PHONY: bench
bench: setup build
	$(PYTHON) integration/bench.py
	$(PYTHON) integration/bench_store.py
	$(PYTHON) integration/bench_pickle.py

.PHONY: bench-all
bench-all: setup build
	$(PYTHON) integration/bench.py --stacks all --connections 1,8,32,256 --hot

N ?= 1000000
SEED ?= 1
.PHONY: differential
differential: setup
	go run ./integration/differential -jobs 2 -n $(N) -seed $(SEED) -python $(PYTHON)

# Needs Python 3.8 to 3.13, by pyenv; writes docs/compatibility.md.
.PHONY: matrix
matrix: setup build
	ALFORJA=bin/alforja $(PYTHON) integration/matrix.py

.PHONY: clean
clean:
	rm -rf bin .venv .demo .cache pyclient/build
	find . \( -name __pycache__ -o -name .ruff_cache -o -name .mypy_cache -o -name .pytest_cache -o -name "*.egg-info" \) -prune -exec rm -rf {} +
