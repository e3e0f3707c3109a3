# Everything a newcomer needs: `make run` and `make test`. Both set up what they use in .venv.

# Tests start evload hundreds of times: each start would compile it anew.
export PYTHONDONTWRITEBYTECODE :=

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

SEED ?= 1
COUNT ?= 300

.PHONY: run test quick long check bench mutants format clean

run: $(VENV)/.installed
	$(BIN)/evload run configs/quickstart.yaml

# More processes than cores: many tests wait. The longest files come first; tests/conftest.py sees to it. A test that
# hangs says where after ten minutes, and ends.
test: $(VENV)/.installed-dev
	tests/servers/install_servers
	$(BIN)/pytest -n 6 --dist loadfile --no-loadscope-reorder \
	  -o faulthandler_timeout=600 -o faulthandler_exit_on_timeout=true

# The rooms without a clock and without I/O, one by one.
PURE := stats model workload tracking summary objectives judging report

quick: $(VENV)/.installed-dev
	$(BIN)/pytest -n 2 -q -m "not server and not browser and not simulation" $(wildcard $(PURE:%=tests/%))

long: $(VENV)/.installed-dev
	tests/servers/install_servers
	$(BIN)/pytest -n 2 -q -m "long or property" --hypothesis-profile any

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.installed-dev
	$(BIN)/python -m benchmarks

mutants: $(VENV)/.installed-dev
	tests/servers/install_servers
	nice $(BIN)/python -m tests.mutants --seed $(SEED) --count $(COUNT)

clean:
	rm -rf $(VENV) .bench-venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "evload needs Python 3.11 or newer; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/evload schema >configs/evload.schema.json
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed examples/evload-mqtt/pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]' --editable examples/evload-mqtt
	$(BIN)/evload schema >configs/evload.schema.json
	@touch $@
