# The commands people type. Each makes .venv if it is missing.
PYTHON ?= python3
PYTEST_WORKERS ?= 2
# About half of a test's time is waiting for a process, a socket or a disk: two of them to a core.
WAITING_WORKERS ?= 4
# An emulated board computes most of its time: one worker more than cores is enough to fill the pauses.
BOARD_WORKERS ?= 3
# The tests start hundreds of processes, and each would compile the whole tree anew.
unexport PYTHONDONTWRITEBYTECODE
BIN := .venv/bin
READY := .venv/.installed

.PHONY: demo site bench test sweep check canary sim image unix hil year drills soak wheel ui clean

demo: $(READY)
	@mkdir -p build
	$(BIN)/outstation demo --json build/demo.json

bench: $(READY)
	@mkdir -p build
	$(BIN)/python -m tools.bench --json build/bench.json
	$(BIN)/python -m tools.page_bench --json build/page.json

site: $(READY)
	rm -rf build/site
	$(BIN)/outstation demo --live --dir build/site

test: $(READY)
	$(BIN)/python -m pytest -q -n $(WAITING_WORKERS) --dist worksteal -m "not sweep and not canary and not wheel and not browser"

sweep: $(READY)
	$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist worksteal -m "sweep and not canary"

check: $(READY)
	$(BIN)/python -m tools.check

canary: $(READY)
	$(BIN)/python -m pytest -q -n $(WAITING_WORKERS) --dist worksteal -m canary

sim: $(READY)
	$(BIN)/python -m tests.sim --seeds 0..200 --json build/sim.json

year: $(READY)
	$(BIN)/python -m tests.sim --year --json build/sim.json

wheel: $(READY)
	$(BIN)/python -m pytest -q -m wheel tests/tools/test_wheel.py

ui: $(READY)
	@test -x /usr/bin/chromium || { echo "Chromium is missing. Install it with: sudo apt-get install chromium"; exit 2; }
	$(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) --dist loadfile -m browser tests/ui

image: $(READY)
	$(BIN)/python -m tools.image mps2_an385

# For machines to which PyPI brings no MicroPython, such as aarch64.
unix: $(READY)
	$(BIN)/python -m tools.image unix

hil: $(READY)
	@mkdir -p build
	$(BIN)/python -m pytest -q -rs -n $(BOARD_WORKERS) --dist load --maxschedchunk 1 hil_tests --figures build/hil.json

drills: $(READY)
	@mkdir -p build
	$(BIN)/python -m tools.drills --json build/drills.json

# Hours. `make -k soak` goes on after a run that failed.
SOAKS := soak-sim soak-cuts soak-counters soak-stores soak-fuzz soak-tests soak-drills soak-hil soak-aarch64
.PHONY: $(SOAKS)
soak: $(SOAKS)

soak-sim: $(READY)
	$(BIN)/python -m tests.sim --seeds 0..10000 --json build/sim-soak.json

soak-cuts: $(READY)
	$(BIN)/python -m tests.cuts --cuts 200000 --all-pairs --json build/cuts-soak.json

soak-counters: $(READY)
	$(BIN)/python -m tests.cuts --counters 10000 --json build/cuts-soak.json

soak-stores: $(READY)
	$(BIN)/python -m tests.stores --soak --json build/stores-soak.json

soak-fuzz: $(READY)
	$(BIN)/python -m tests.fuzz --frames 100000000 --json build/fuzz-soak.json

soak-tests: $(READY)
	OUTSTATION_SOAK=1 $(BIN)/python -m pytest -q -n $(PYTEST_WORKERS) -m "not canary and not wheel and not browser"

soak-drills: $(READY)
	@mkdir -p build
	$(BIN)/python -m tools.drills --size soak --json build/drills-soak.json

soak-hil: $(READY)
	@mkdir -p build
	OUTSTATION_SOAK=1 $(BIN)/python -m pytest -q -rs hil_tests/test_events.py hil_tests/test_cuts.py --figures build/hil-soak.json

soak-aarch64: $(READY)
	OUTSTATION_SOAK=1 $(BIN)/python -m pytest -q -rs tests/tools/test_unix_aarch64.py

clean:
	rm -rf build dist .venv .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Outstation needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. Install it with: sudo apt-get install $$($(PYTHON) -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"; exit 2; }
	@test -x $(BIN)/python && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(READY)
