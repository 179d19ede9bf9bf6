# Everything a newcomer types. Paths are relative, so that the checkout may lie in a folder with a space in its name.

PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
BUILT  := $(VENV)/.built
READY  := $(VENV)/.ready

.PHONY: run test test-long test-explore test-attacks traffic check format docs clean help
.PHONY: bench bench-full bench-tls bench-chunking bench-durability bench-micro bench-peers

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /	/' | expand -t 20

run: $(READY)  ## Build, make a demo site under ./var, serve it on 127.0.0.1:2525
	@exec $(RUN) -m fastsmtp serve --dev

test: $(READY)  ## Everything that guards main: lint, types and all tests
	$(RUN) -m pytest

test-long: $(READY)  ## Kills, power cuts and reloads by the hundred: minutes
	KILL_ROUNDS=100 POWERCUT_STATES=10000 RELOADS=200 $(RUN) -m pytest tests/integration/test_kill.py \
		tests/integration/test_powercut.py tests/integration/test_processes.py

test-explore: $(READY)  ## Properties with other examples than those that guard main, ten times as many
	EXPLORE=1 $(RUN) -m pytest -m hypothesis tests/unit tests/properties

test-attacks: $(READY)  ## Attacks in full, with good mail beside them: the figures of docs/attacks.md
	ATTACKS=full $(RUN) -m pytest -s tests/integration/test_attacks.py

traffic: $(READY)  ## Good mail and every kind of junk against the plugins of `init`: the table of docs/attacks.md
	TRAFFIC_ROUNDS=20 $(RUN) -m pytest -s tests/integration/test_mixed_traffic.py

FUZZ_SECONDS ?= 60
FUZZ_TARGETS := $(patsubst tests/fuzz/targets/%.py,%,$(wildcard tests/fuzz/targets/*.py))

fuzz: $(BUILT)  ## Fuzz each target for FUZZ_SECONDS (60), or those in FUZZ_TARGETS; needs gcc
	@$(RUN) -c 'import atheris' 2>/dev/null || $(RUN) -m pip install --quiet --constraint constraints.txt atheris
	@for target in $(FUZZ_TARGETS); do $(RUN) tests/fuzz/run.py $$target --seconds $(FUZZ_SECONDS) -print_final_stats=1 || exit 1; done

fuzz-keep: $(BUILT)  ## Add what fuzzing has found to tests/fuzz/corpus/, the fewest inputs that reach all of it
	@for target in $(FUZZ_TARGETS); do $(RUN) tests/fuzz/run.py $$target --keep || exit 1; done

check: $(BUILT)  ## Lint and types only
	$(RUN) -m ruff check
	$(RUN) -m ruff format --check
	$(RUN) -m mypy

format: $(BUILT)  ## Put the sources in their form
	$(RUN) -m ruff check --fix
	$(RUN) -m ruff format

docs: $(BUILT)  ## Write the generated parts of docs/
	$(RUN) -m fastsmtp.config.document > docs/configuration.md
	$(RUN) -m fastsmtp.server.document > docs/metrics.md

bench: $(VENV)/.bench $(READY)  ## Beside what the kernel takes and every peer that is installed: some minutes
	$(RUN) -m bench run quick $(if $(RESULTS),--to '$(RESULTS)')

bench-full: $(VENV)/.bench $(READY)  ## All that docs/benchmarks.md shows, to build/bench or to RESULTS: a quarter of an hour
	$(RUN) -m bench run full $(if $(RESULTS),--to '$(RESULTS)')

bench-tls: $(READY)  ## What handshakes and messages in TLS cost
	$(RUN) -m bench run tls

bench-chunking: $(READY)  ## DATA beside BDAT
	$(RUN) -m bench run chunking

bench-durability: $(READY)  ## Messages a second and CPU for journal, fsync and none
	$(RUN) -m bench run durability

bench-micro: $(READY)  ## The parser, replies, the cache, plugins and the session alone: half a minute
	$(RUN) -m bench micro

bench-peers: $(READY)  ## Who can be measured here, and what the others need
	$(RUN) -m bench peers

# Pictures and a look at where the CPU goes; without them there are tables.
$(VENV)/.bench: $(BUILT)
	-@$(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt matplotlib py-spy
	@touch $@

clean:  ## Remove what was built (not ./var)
	rm -rf $(VENV) build dist *.egg-info
	find fastsmtp -name '*.so' -delete

# Compiled are the .pyx and, where a .pxd stands beside it, a .py. Python takes what was compiled before the .py: nothing
# runs or tests it here that does not see to that first.
DECLARED := $(shell find fastsmtp -name '*.pxd')
COMPILED := $(DECLARED) $(wildcard $(DECLARED:.pxd=.py) fastsmtp/*.pyx fastsmtp/*.pxi)

# Bytecode as pip installs it, also where PYTHONDONTWRITEBYTECODE keeps Python from writing it: without, each process that is
# started, each worker and each server of a test, compiles 250 modules first.
$(READY): $(BUILT) $(shell find fastsmtp plugins -name '*.py')
	@$(RUN) -m compileall -q fastsmtp plugins
	@touch $(READY)

# The environment is built when this file is newer than what it was made from.
$(BUILT): $(VENV)/.installed setup.py $(COMPILED)
	@$(RUN) setup.py --quiet build_ext --inplace
	@touch $(BUILT)

$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "Making the environment in $(VENV) and building: about a minute, the first time ..."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@FASTSMTP_COMPILE=later $(RUN) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
