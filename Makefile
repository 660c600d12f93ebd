# Everything a developer runs, with no more than make and Python 3.11 or newer; works with GNU make from 3.81 on.

# Only used when $(VENV) is made: `make clean` first to change the Python of an existing one.
PYTHON =
VENV = .venv
HOST = 127.0.0.1
PORT = 8000
PYTEST_ARGS =
SEEDS = 20000
CASES = 20000
PROCESSES = 2
CHAOS_ARGS =
BENCH_ARGS =

MINORS = 11 12 13
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check --quiet --quiet
RUNTIME = $(VENV)/.runtime-installed
DEVELOPMENT = $(VENV)/.development-installed
BENCHMARK_VENV = .venv-bench
BENCHMARK_TOOLS = $(BENCHMARK_VENV)/.installed $(BENCHMARK_VENV)-4/.installed

# Exits 0 if the Python that runs it can make an environment; otherwise says why not.
SUITS = import sys; \
	version = "%d.%d" % sys.version_info[:2]; \
	sys.version_info >= (3, 11) or sys.exit("is Python " + version + ", but 3.11 or newer is needed"); \
	import importlib.util as found; \
	found.find_spec("ensurepip") and found.find_spec("venv") or sys.exit( \
	"has no venv module (Debian, Ubuntu: apt install python" + version + "-venv)")

# Sets $$python to the first candidate that really runs (a pyenv shim may not) and suits, or explains and fails.
FIND_PYTHON = \
	python=; reasons=; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3); do \
		if ! command -v "$$candidate" >/dev/null 2>&1; then reason="is not there"; \
		elif reason=$$("$$candidate" -c '$(SUITS)' 2>&1); then python=$$candidate; break; fi; \
		reasons="$$reasons\n  $$candidate: $$(printf '%s' "$$reason" | head -n 1)"; \
	done; \
	if [ -z "$$python" ]; then \
		printf "No Python that can be used:%b\nInstall 3.11 or newer, or name one: make PYTHON=/path/to/python ...\n" "$$reasons" >&2; \
		exit 1; \
	fi

.DEFAULT_GOAL = help
.DELETE_ON_ERROR:
.PHONY: help setup run test test-all pythons lint types check bench bench-publish bench-hostile simulate fuzz slow chaos clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(DEVELOPMENT) ## Make .venv with everything for development
	@echo "Ready: $(VENV)/bin holds python, scheduler, pytest, ruff and mypy"

run: $(RUNTIME) ## Start the service on http://127.0.0.1:8000 (HOST=, PORT=)
	@exec $(VENV)/bin/scheduler serve --host $(HOST) --port $(PORT)

test: $(DEVELOPMENT) ## Run the tests, without the slow ones (PYTEST_ARGS=)
	@$(VENV)/bin/python -m pytest -n 2 $(PYTEST_ARGS)

test-all: pythons ## Run the tests on each Python found, each in an environment of its own
	@$(MAKE) -s --no-print-directory pythons | while read -r version python; do \
		case $$python in /*) ;; *) continue ;; esac; \
		echo "Python $$version"; \
		$(MAKE) --no-print-directory test VENV=.venv-$$version PYTHON="$$python" </dev/null || exit 1; \
	done

pythons: ## List the Pythons that test-all uses
	@for minor in $(MINORS); do \
		used=; \
		for candidate in python3.$$minor "$$HOME"/.pyenv/versions/3.$$minor.*/bin/python /usr/bin/python3.$$minor; do \
			path=$$(command -v "$$candidate" 2>/dev/null) || continue; \
			"$$path" -c '$(SUITS); sys.exit(sys.version_info[1] != '$$minor')' >/dev/null 2>&1 || continue; \
			used=$$path; break; \
		done; \
		echo "3.$$minor $${used:-not found}"; \
	done

lint: $(DEVELOPMENT) ## Check style and format
	@$(VENV)/bin/python -m ruff check .
	@$(VENV)/bin/python -m ruff format --check .

types: $(DEVELOPMENT) ## Check types, strictly
	@$(VENV)/bin/python -m mypy

check: lint types test ## All that must pass before a change is done

bench: $(DEVELOPMENT) $(BENCHMARK_TOOLS) ## Measure beside other schedulers, into benchmarks/results/ (BENCH_ARGS=--quick)
	@$(VENV)/bin/python -m benchmarks $(BENCH_ARGS)
	@$(BENCHMARK_VENV)/bin/python -m benchmarks.picture benchmarks/results$(if $(findstring --quick,$(BENCH_ARGS)),/quick)

bench-publish: ## Put the figures of the last `make bench` into the README
	@$(VENV)/bin/python -m benchmarks.report

bench-hostile: $(DEVELOPMENT) ## Measure what hostile functions cost other jobs (five minutes)
	@$(VENV)/bin/python -m benchmarks.hostile_functions

simulate: $(DEVELOPMENT) ## Run the simulation (SEEDS=20000 PROCESSES=2), and then look for all its mutants
	@$(VENV)/bin/python -m tests.simulation --seeds $(SEEDS) --processes $(PROCESSES)
	@$(VENV)/bin/python -m tests.simulation --mutants

fuzz: $(DEVELOPMENT) ## Send anything to the whole API, on both databases, with and without keys (CASES=20000)
	@$(VENV)/bin/python -m tests.fuzz --cases $(CASES)

slow: $(DEVELOPMENT) ## Run the slow tests
	@$(VENV)/bin/python -m pytest -m slow $(PYTEST_ARGS)

chaos: $(DEVELOPMENT) ## Kill, freeze and starve real processes by the hundred (hours; CHAOS_ARGS= for some)
	@$(VENV)/bin/python -m tests.chaos $(CHAOS_ARGS)

clean: ## Remove environments, caches and builds (never a database or .env)
	rm -rf .venv .venv-3.* .venv-bench .venv-bench-4 build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Each stamp is touched last, so that an interrupted installation is done again.
$(VENV)/.made:
	@$(FIND_PYTHON); \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear $(VENV)
	@touch $@

$(RUNTIME): $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (the first time takes about a minute)"
	@$(PIP) install -c constraints.txt -e '.[psycopg2]'
	@touch $@

$(DEVELOPMENT): $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing into $(VENV), with the tools for development (the first time takes about a minute)"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(RUNTIME) $@

# Others' schedulers, kept out of the environment that the service is tested in, and each of two versions in its own.
$(BENCHMARK_VENV)/.installed: benchmarks/requirements.txt
$(BENCHMARK_VENV)-4/.installed: benchmarks/requirements-apscheduler4.txt
$(BENCHMARK_TOOLS): | $(VENV)/.made
	@echo "Installing other schedulers into $(@D)"
	@$(VENV)/bin/python -m venv --clear $(@D)
	@$(@D)/bin/python -m pip --disable-pip-version-check --quiet --quiet install -r $<
	@touch $@
