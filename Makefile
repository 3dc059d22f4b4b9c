# What a person does with this repository. `make demo` needs git, make, python3 (3.11 or newer) and python3-venv; nothing else.
.PHONY: setup setup-dev servers demo test check bench truth killloop crashpoints backlog powercut tamper pulses outage isolation cadence guard fuzz late unplug idle pictures clean scan silence audit schedules verifiers clocksteps delays mutate
.DEFAULT_GOAL := setup
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --no-input

# Lengths of the campaigns: make killloop N=50
N ?=
SEED ?= 1
# Most tests wait for processes and lines more than they compute: five at a time for two cores; two of those that hold deadlines of real time.
WORKERS ?= 5
WORKERS_TIMING ?= 2

# Compiled modules are kept whatever the shell says: each of the hundreds of processes that a suite starts would compile them all anew (0.5 s).
unexport PYTHONDONTWRITEBYTECODE

setup: $(VENV)/.stamp-setup
setup-dev: $(VENV)/.stamp-dev
servers: $(VENV)/.stamp-dev
	PYTHON=$(PY) bash tests/install_servers.sh

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edge-gateway wants Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

# The stamp holds until the lock or the project file changes.
$(VENV)/.stamp-setup: requirements/demo.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	@echo "setting up $(VENV) (once; needs the network)"
	$(PIP) --require-hashes --only-binary :all: -r requirements/build.txt
	$(PIP) --require-hashes --only-binary :all: -r requirements/demo.txt
	$(PIP) --no-deps --no-build-isolation --no-index --editable .
	touch $@

$(VENV)/.stamp-dev: requirements/dev.txt $(VENV)/.stamp-setup
	$(PIP) --require-hashes --only-binary :all: -r requirements/dev.txt
	touch $@

demo: setup
	$(VENV)/bin/edge-gateway demo $(ARGS)

test: setup-dev servers
	$(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "not timing" $(ARGS)
	$(PY) -m pytest -n $(WORKERS_TIMING) --dist load -m timing $(ARGS)

check: setup-dev
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --strict src
	$(PY) -m pytest -q tests/test_architecture.py tests/test_documents.py

bench: setup-dev
	$(PY) bench/run.py $(ARGS)

truth killloop crashpoints outage silence schedules verifiers: servers
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# Faults in rules, violations, phases and marks, one at a time: how many their tests notice. ARGS="--budget 3600" begins none after an hour.
mutate: setup-dev
	$(PY) -m tests.faults.mutate $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

powercut pulses tamper: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# Errors of the disk: EIO, ENOSPC, short writes, once and lasting; N lives of the journal. strace lets calls fail on the real disk too.
ioerrors: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# A file system of 64 MB, filled from outside and freed; N rounds. Needs user namespaces, or root.
.PHONY: diskfull
diskfull: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# Single bits that flip at rest in segments, database, texts, the signer's and the hub's memories; N flips.
.PHONY: bitflips
bitflips: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# 32 units on one paced line, one of them dead, one slow, one babbling; N is the number of rounds of 5 s.
isolation: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--rounds $(N)) --seed $(SEED) $(ARGS)

# Three unknown units on a simulated line, found and named in virtual time; N is the number of seeds.
scan: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# Late answers on a serial line (N of them, 10,000; about ten minutes); an adaptor pulled out and put back N times (50).
late unplug: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# 50 Modbus TCP devices with 20 points each at 1 s, the whole gateway; N is the number of minutes.
cadence: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--minutes $(N)) --seed $(SEED) $(ARGS)

# Coverage-guided fuzzing; N executions of a full share. Where atheris has no wheel the mutations are not guided.
fuzz: setup-dev
	$(PIP) --require-hashes --only-binary :all: -r requirements/fuzz.txt
	$(PY) -m tests.fuzz.run $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# Every way to change something, and who may read the key; as root, so that other users can try.
audit: setup-dev
	$(PY) -m tests.faults.audit $(ARGS)

# Every expected slot accounted for: N site-days in virtual time against the plant's truth log. N steps of the wall clock.
slots clocksteps delays: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# What people are told over N site-days of ordinary life, noise at a limit, power failures and true excursions.
.PHONY: alarms
alarms: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# How long an entry waits for its witness; N is the number of seconds a carrier.
.PHONY: witnessed
witnessed: servers
	$(PY) -m tests.faults.$@ $(if $(N),--seconds $(N)) $(ARGS)

# Labelled traces of every kind of rule against the reference; N of them, a tenth of each kind at least. ARGS="--other python3.13"
.PHONY: traces
traces: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# A journal of N readings (10 million) by the real code, judged again on another Python. ARGS="--other python3.13"
.PHONY: recompute
recompute: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--n $(N)) --seed $(SEED) $(ARGS)

# A month of backlog (52 million readings) drains beside live traffic; N readings (5 million) are drained. `outage` takes parts away and counts.
backlog: setup-dev
	$(PY) -m tests.faults.$@ $(if $(N),--drain $(N)) $(ARGS)

guard: setup-dev
	$(PY) -m pytest -q tests/faults/test_guard.py $(ARGS)

# Nothing to read for N seconds (10 minutes): systemd's watchdog is fed all the same.
idle: setup-dev
	EDGE_GATEWAY_IDLE_S=$(or $(N),600) $(PY) -m pytest -q tests/app/test_watchdog_idle.py $(ARGS)

# The documentation's pictures, taken of the running demonstration.
pictures: servers
	$(PY) -m tests.demo.pictures $(ARGS)

clean:
	rm -rf $(VENV) .tools .hypothesis .mypy_cache .pytest_cache .ruff_cache .coverage .coverage.* htmlcov dist build tests/_out bench/_out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
