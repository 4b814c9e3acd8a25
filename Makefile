# Needs Python 3.11 or newer, git and make; everything else is fetched into this folder (.tools, .venv).

PYTHON ?= python3
BIN := .venv/bin
MINUTES ?= 60
SAMPLE ?= 40
AT_ONCE := -n auto --dist worksteal -ra

# The tests start many processes: what these import is compiled once.
unexport PYTHONDONTWRITEBYTECODE

# Many tests hold the bot to Slack's three seconds. What a busy machine was too slow for is tried once more, alone.
ALONE := $(BIN)/pytest -n0 --last-failed --last-failed-no-failures none

.PHONY: help run test thorough check bench bench-events bench-replicas bench-scale soak mutants audit format docs picture release clean
.DEFAULT_GOAL := help

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

run: .venv/.ready ## a Slack-like workspace in the browser, with Bobbin in it
	@$(BIN)/bobbin sandbox

test: check ## the checks and all tests
	$(BIN)/pytest $(AT_ONCE) || $(ALONE)

thorough: check ## the checks and all tests, with many more examples: for much longer
	$(BIN)/pytest $(AT_ONCE) --thorough

check: .venv/.ready-dev ## style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --explicit-package-bases scripts/audit.py scripts/bootstrap.py scripts/commands_page.py scripts/mutants.py scripts/passes.py scripts/picture.py scripts/release.py
	$(BIN)/lint-imports
	$(BIN)/python -m scripts.audit

soak: .venv/.ready-dev ## an hour of mixed use with faults at random (MINUTES=5: shorter); not part of `make test`
	$(BIN)/python -m tests.soak --minutes $(MINUTES)

mutants: .venv/.ready-dev ## tests the tests: changes the core here and there, tells what none notices (MODULE=handlers/rate_limits/scheduler.py SAMPLE=40)
	@$(PYTHON) scripts/bootstrap.py --mutants
	$(BIN)/python -m scripts.mutants $(MODULE) --sample $(SAMPLE) $(if $(SEED),--seed $(SEED))

audit: .venv/.ready-dev ## asks the open database of vulnerabilities about every dependency (needs the network)
	$(BIN)/python -m scripts.audit --online

format: .venv/.ready-dev ## rewrites the code in its one style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.ready-dev ## storms of answers against the whole product, beside what Slack's budgets allow (six minutes)
	@$(BIN)/python -m tests.bench

bench-events: .venv/.ready-dev ## how soon two hundred events a second are acknowledged, four ways (four minutes)
	@$(BIN)/python -m tests.bench.events

bench-replicas: .venv/.ready-dev ## a thousand answers at once over three replicas (three minutes, six at most)
	@$(BIN)/python -m tests.bench.replicas

bench-scale: .venv/.ready-dev ## lists and searches among a thousand chats and among a million (five minutes; CHATS=100000: two)
	$(BIN)/python -m tests.bench.scale $(if $(CHATS),--chats $(CHATS))

docs: .venv/.ready-dev ## rewrites docs/commands.md from the program
	$(BIN)/python scripts/commands_page.py > docs/commands.part
	mv docs/commands.part docs/commands.md

picture: .venv/.ready-dev ## takes the README's pictures anew, in the sandbox
	$(BIN)/python -m scripts.picture

release: .venv/.ready-dev ## a release without publishing it: versions, wheel, the wheel tried out, the image
	$(BIN)/python -m scripts.release

clean: ## removes what was fetched or built
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

.venv/.ready: pyproject.toml uv.lock scripts/bootstrap.py
	@$(PYTHON) scripts/bootstrap.py
	@touch $@

.venv/.ready-dev: pyproject.toml uv.lock scripts/bootstrap.py
	@$(PYTHON) scripts/bootstrap.py --dev
	@touch $@ .venv/.ready
