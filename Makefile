# Needs Python 3.11 or newer, git and make; everything else is fetched into this folder (.tools, .venv).

PYTHON ?= python3
BIN := .venv/bin
MINUTES ?= 60
SAMPLE ?= 40
PARALLEL := -n auto --dist worksteal -ra

# Without a PATH, as in an empty environment, make itself would find no program.
export PATH := $(or $(PATH),/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin)

# What fetches the packages runs on Python 3.8; older ones would only report a syntax error.
TOO_OLD := import sys; sys.version_info < (3, 8) and sys.exit("Bobbin needs Python 3.11 or newer, and this is %d.%d: install one, and name it, as in make PYTHON=python3.11 run" % sys.version_info[:2])

# The tests start many processes: cached bytecode keeps their start short.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run test test-slow test-slowed thorough compiled check bench bench-day bench-events bench-replicas bench-scale bench-bounds bench-erase bench-migration bench-workspaces soak mutants audit format texts docs picture release clean
.DEFAULT_GOAL := help

help: ## lists what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

install: .venv/.ready ## fetches what Bobbin needs into this folder and starts nothing; then: .venv/bin/bobbin
	@echo "Installed: .venv/bin/bobbin"

run: .venv/.ready ## starts the sandbox: a Slack-like workspace in the browser, with Bobbin in it
	@$(BIN)/bobbin sandbox

test: compiled check ## runs the checks and the tests, without the long proofs (six minutes on two cores)
	$(BIN)/pytest $(PARALLEL) -m "not slow"

test-slow: .venv/.ready-dev ## runs the long proofs, which `make test` leaves out
	$(BIN)/pytest $(PARALLEL) -m slow

test-slowed: .venv/.ready-dev ## runs the tests while servers and threads are heard late at random (SEED=7: as then; TESTS=tests/api)
	$(BIN)/pytest $(PARALLEL) -m "not slow" --slow-down 0.5 $(if $(SEED),--slow-down-seed $(SEED)) $(TESTS)

thorough: compiled check ## runs the checks, the tests and the long proofs with many more examples (much longer)
	$(BIN)/pytest $(PARALLEL) --thorough

# After a change each test process would compile the same files for itself; one does it while the checks run.
compiled: .venv/.ready-dev
	@$(BIN)/pytest --collect-only -qq -p no:cacheprovider >/dev/null 2>&1 &

check: .venv/.ready-dev ## checks style, types, import rules and dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases scripts/audit.py scripts/bootstrap.py scripts/commands_page.py scripts/drawings.py scripts/env_example.py scripts/mutants.py scripts/lines_per_test.py scripts/picture.py scripts/release.py scripts/texts.py
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.audit

soak: .venv/.ready-dev ## runs an hour of mixed use with random faults (MINUTES=5: shorter); not part of `make test`
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

mutants: .venv/.ready-dev ## runs mutation tests on the core modules (MODULE=handlers/rate_limits/scheduler.py SAMPLE=40)
	@$(PYTHON) scripts/bootstrap.py --mutants
	$(BIN)/python -m scripts.mutants $(MODULE) --sample $(SAMPLE) $(if $(SEED),--seed $(SEED))

audit: .venv/.ready-dev ## checks every dependency for known vulnerabilities (needs the network)
	$(BIN)/python -m scripts.audit --online

format: .venv/.ready-dev ## formats the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.ready-dev ## measures bursts of answers in the whole product against what Slack's rate limits allow (six minutes)
	@$(BIN)/python -m tests.bench

bench-day: .venv/.ready-dev ## measures a workday's load of questions, also with hanging calls and a kill (twenty minutes)
	@$(BIN)/python -m tests.bench.day
	@$(BIN)/python -m tests.bench.crowd

bench-events: .venv/.ready-dev ## measures how fast 200 events a second are acknowledged, in four setups (four minutes)
	@$(BIN)/python -m tests.bench.events

bench-replicas: .venv/.ready-dev ## measures a thousand simultaneous answers over three replicas (three to six minutes)
	@$(BIN)/python -m tests.bench.replicas

bench-scale: .venv/.ready-dev ## compares lists and searches among a thousand and a million chats (five minutes; CHATS=100000: two)
	$(BIN)/python -m tests.bench.scale $(if $(CHATS),--chats $(CHATS))

bench-bounds: .venv/.ready-dev ## tries each door's worst request a hundred times, with the memory watched (five minutes)
	@$(BIN)/python -m tests.bench.bounds

bench-erase: .venv/.ready-dev ## measures acknowledgements while a person with five thousand chats is erased (two minutes)
	@$(BIN)/python -m tests.bench.erase

bench-migration: .venv/.ready-dev ## measures acknowledgements while 200,000 messages are upgraded (one minute)
	@$(BIN)/python -m tests.bench.migration

bench-workspaces: .venv/.ready-dev ## compares ten and ten thousand installed workspaces, most of them idle (five minutes)
	@$(BIN)/python -m tests.bench.workspaces

texts: .venv/.ready-dev ## updates the catalogues of translations (bot/languages) from the English texts
	@$(BIN)/python -m scripts.texts

docs: .venv/.ready-dev ## rewrites docs/commands.md and .env.example from the program
	$(BIN)/python scripts/commands_page.py > docs/commands.part
	mv docs/commands.part docs/commands.md
	$(BIN)/python -m scripts.env_example > .env.part
	mv .env.part .env.example

picture: .venv/.ready-dev ## makes the documents' pictures again: screenshots in the sandbox, and the drawings of Slack's settings
	$(BIN)/python -m scripts.drawings
	$(BIN)/python -m scripts.picture

release: .venv/.ready-dev ## builds a release without publishing it: versions, wheel, a trial of the wheel, the image
	$(BIN)/python -m scripts.release

clean: ## removes what was fetched or built
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

.venv/.ready: pyproject.toml uv.lock scripts/bootstrap.py
	@$(PYTHON) -c '$(TOO_OLD)'
	@$(PYTHON) scripts/bootstrap.py
	@touch $@

.venv/.ready-dev: pyproject.toml uv.lock scripts/bootstrap.py
	@$(PYTHON) -c '$(TOO_OLD)'
	@$(PYTHON) scripts/bootstrap.py --dev
	@touch $@ .venv/.ready
