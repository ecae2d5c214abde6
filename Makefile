# Every target but `help` and `clean` makes the virtual environment first, once.
#   make demo      a kernel from Python to three bitstreams, everything in out/demo
#   make test      the tests (minutes); `make test-long` runs the long ones
#   make PYTHON=/path/to/python3.12 demo     with a Python of your choice

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TOOLS := $(VENV)/.tools-ready
FPGA_TOOLS := yosys nextpnr-ice40 nextpnr-ecp5 nextpnr-himbaechel-gowin
PYTHON ?=

.PHONY: help demo test test-long bench lint clean
.DELETE_ON_ERROR:

help:
	@echo 'make demo       an int8 gemm from Python to Verilog, simulation and three bitstreams'
	@echo 'make test       run the tests'
	@echo 'make test-long  run the tests that take minutes each'
	@echo 'make bench      measure compile time, cycles and area of the benchmark kernels'
	@echo 'make lint       ruff and mypy'
	@echo 'make clean      remove what was built (also the virtual environment)'

demo: $(TOOLS)
	@$(BIN)/python examples/gemm.py

test: $(INSTALLED)
	@$(BIN)/python -m pytest -q -n 2 tests

test-long: $(TOOLS)
	@$(BIN)/python -m pytest -q -n 2 -m long tests

bench: $(TOOLS)
	@$(BIN)/python -m benchmarks

lint: $(INSTALLED)
	@$(BIN)/python scripts/make_typings.py
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m mypy

clean:
	rm -rf $(VENV) out build dist typings/allo_rtl *.egg-info sim_build
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The candidates are asked for their version: a name on PATH may be a pyenv shim without one.
$(INSTALLED): pyproject.toml
	@for tool in g++ make; do command -v $$tool >/dev/null || { \
	  echo "error: $$tool was not found; install it (Debian: apt-get install g++ make)" >&2; \
	  exit 1; }; done
	@found=; for candidate in $(PYTHON) python3.12 python3 python3.13 python3.14 python; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then \
	    found=$$candidate; break; fi; done; \
	if [ -z "$$found" ]; then \
	  echo "error: no Python 3.12 or newer was found (tried $(PYTHON) python3.12, python3 ...)" >&2; \
	  echo "  hint: install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; fi; \
	[ -x $(BIN)/python ] || { echo "making $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv $(VENV); }
	@echo 'installing the package and its tools into $(VENV) (once, a few minutes) ...'
	@$(BIN)/python -m pip install -qq --disable-pip-version-check -e '.[dev]'
	@touch $@

# Each YoWASP tool is compiled for this machine when it is first started; do that here, not in
# the middle of a build.
$(TOOLS): $(INSTALLED)
	@echo 'preparing the FPGA tools (once, about a minute) ...'
	@for tool in $(FPGA_TOOLS); do $(BIN)/yowasp-$$tool --version >/dev/null 2>&1 || { \
	  $(BIN)/yowasp-$$tool --version; exit 1; }; done
	@touch $@
