# Every target does its own set-up on a fresh machine with make and Python 3.11 or newer; nothing is installed twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# What the dashboard and its checks take from npm; without npm the dashboard shows the brain in slices only.
WEB := clients/cortexcast_web
NPM := $(shell command -v npm)
NIIVUE := $(if $(NPM),$(WEB)/node_modules/.package-lock.json)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-dashboard bench-data screenshots constraints clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/server.stamp $(NIIVUE) ## stream a replayed headset until Ctrl-C; DURATION=20 stops after 20 s
	@$(BIN)/cortexcast demo $(if $(DURATION),--duration $(DURATION))

# Tests that compute take all cores; those that stream wait most of the time, so three at once share two cores. Where
# single files take long begins first. What would share its work among cores has one for itself here
# (LOKY_MAX_CPU_COUNT).
COMPUTING := tests/packaging tests/training tests/models
LONG := tests/docs tests/web tests/server tests/integration
STREAMING := $(LONG) $(filter-out $(COMPUTING) $(LONG),$(sort $(patsubst %/,%,$(dir $(wildcard tests/*/test_*.py)))))

test: check ## run every check and every test
	@tests/install-chromium
	OMP_NUM_THREADS=1 LOKY_MAX_CPU_COUNT=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile $(COMPUTING)
	LOKY_MAX_CPU_COUNT=1 $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder $(STREAMING)

check: $(VENV)/dev.stamp $(NIIVUE) ## lint, formatting, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(if $(NPM),cd $(WEB) && npm run --silent check,@echo "There is no npm, so the dashboard's code is not checked.")

bench: $(VENV)/server.stamp ## measure latency and throughput on this machine
	@$(BIN)/cortexcast bench

MINUTES ?= 10
bench-dashboard: $(VENV)/dev.stamp $(NIIVUE) ## measure the dashboard in Chromium for MINUTES=10 minutes
	@tests/install-chromium
	PYTHONPATH=tests $(BIN)/python -m web.bench_dashboard --minutes $(MINUTES)

bench-data: $(VENV)/dev.stamp ## measure preparing, and training on, recordings as large as those of ds000117
	PYTHONPATH=tests $(BIN)/python -m training.bench_data

screenshots: $(VENV)/dev.stamp $(NIIVUE) ## take the pictures of the dashboard that the pages show
	@tests/install-chromium
	PYTHONPATH=tests $(BIN)/python -m web.screenshots

constraints: ## pin the newest releases that pyproject.toml allows, in constraints.txt
	$(PYTHON) -m venv --clear build/pins
	build/pins/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	{ echo "# Every version that [dev], which holds all extras, installs. Made by: make constraints" && \
	  build/pins/bin/python -m pip freeze --exclude-editable | sed 's/+cpu$$//'; } > build/constraints.txt
	mv build/constraints.txt constraints.txt
	rm -rf build/pins

clean: ## remove the environment and whatever tools left behind
	rm -rf $(VENV) dist build $(WEB)/node_modules $(WEB)/site/vendor .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(WEB)/node_modules/.package-lock.json: $(WEB)/package.json $(WEB)/package-lock.json
	@echo "Installing what the dashboard takes from npm, once"
	@cd $(WEB) && npm ci --silent && touch node_modules/.package-lock.json || \
	  echo "npm failed, so the dashboard shows the brain in slices only" >&2

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "cortexcast needs Python 3.11 or newer, and $(PYTHON) is not: name one, as in make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/server.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing cortexcast[server] in $(VENV), once"
	@$(INSTALL) --editable '.[server]'
	@touch $@

# [dev] holds [server], so its stamp stands for both.
$(VENV)/dev.stamp: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing cortexcast[dev] in $(VENV), once"
	@$(INSTALL) --editable '.[dev]'
	@touch $(VENV)/server.stamp $@
