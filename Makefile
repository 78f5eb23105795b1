# make demo   set up, then mark, damage and identify real pictures
# make test   set up, then run the tests
# make check  ruff and mypy
# make clean  remove what was made here

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: venv demo test check clean

venv: $(READY)

# Debian's python3 comes without the part that makes environments with pip in them.
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'sukashi needs Python 3.11 or newer; name one: make PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo 'the venv module is missing; install it: sudo apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[postgresql,server]' --group dev
	@touch $@

demo: $(READY)
	$(BIN)/python samples/demo.py

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile -r s

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf .venv build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
