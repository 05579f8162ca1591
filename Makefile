# resolverd. `make run` and `make test` need Python >= 3.11 and make, nothing else.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
BESIDE := -n auto --dist worksteal
RUNS   := 1
MINUTES := 60

.PHONY: install uninstall deb run test unit attacks soak fuzz check lab bench fleet clean peers

run: $(VENV)/.installed
	$(BIN)/resolverd serve

# As a service of this machine (root): /opt/resolverd, its user, /etc/resolverd, /var/lib/resolverd, units, man page, completion.
# PYTHON and DESTDIR are heeded. `uninstall` leaves configuration and state.
install uninstall:
	@DESTDIR="$(DESTDIR)" PYTHON="$(if $(filter-out undefined file,$(origin PYTHON)),$(PYTHON))" contrib/install $@

# The same as a Debian package, in dist/ or DIST (no root; apt install debhelper python3-venv).
deb:
	@PYTHON="$(if $(filter-out undefined file,$(origin PYTHON)),$(PYTHON))" contrib/debian/build $(DIST)

test: $(VENV)/.developing peers
	$(BIN)/pytest $(BESIDE) tests/install tests/unit tests/attack
	@tests/real/run $(BIN)/python

unit: $(VENV)/.developing
	$(BIN)/pytest $(BESIDE) tests/unit

# The catalogue of attacks with what was measured of each, into docs/attacks.md.
attacks: $(VENV)/.developing
	$(BIN)/pytest $(BESIDE) -m attack tests/unit tests/attack --attacks docs/attacks.md

# Every attack at length, and so many minutes under load and attack, into docs/attacks.md and docs/soak.md.
soak: $(VENV)/.developing peers
	$(BIN)/pytest -m attack tests/unit tests/attack --soak --attacks docs/attacks.md
	@tests/real/run $(BIN)/python -m attack --soak
	$(BIN)/python -m bench.soak --minutes $(MINUTES)

# Coverage-guided, the time shared by all targets or by those named: make fuzz MINUTES=60 TARGETS="response question"
fuzz: MINUTES := 10
fuzz: $(VENV)/.fuzzing
	$(BIN)/python -m tests.fuzz run --minutes $(MINUTES) $(TARGETS)

check: $(VENV)/.developing
	$(BIN)/ruff check resolverd tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

lab: $(VENV)/.developing peers
	$(BIN)/python -m tests.lab $(ARGS)

# RUNS=3: three whole runs, of which the worst counts.
bench: $(VENV)/.developing peers
	for run in $$(seq $(RUNS)); do $(BIN)/python -m bench; done
	$(BIN)/python -m bench --render

# Fleets of up to 1000 hosts on virtual time, into docs/fleet-simulation.md; a quarter of an hour.
fleet: $(VENV)/.developing
	$(BIN)/python -m bench.fleet

peers:
	@tests/install-peers

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("resolverd needs Python 3.11 or newer; this is %d.%d. Name another: make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[redis]'
	@touch $@

$(VENV)/.developing: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check 'pip>=25.1'
	$(BIN)/pip install --quiet --disable-pip-version-check --group dev
	@touch $@

$(VENV)/.fuzzing: $(VENV)/.developing
	$(BIN)/pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@
