# make setup   a virtual environment in .venv with vivace and its tools
# make demo    a first clip in demo/clip.mp4
# make test    the test suite
# Each does what is missing and nothing twice. Another Python: make setup PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.vivace-installed
PROMPT ?= a red ball bounces on a wooden floor
SEED ?= 0

.PHONY: help setup demo test

help:
	@sed -n '/^PYTHON/q; s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

setup: $(INSTALLED)
	@echo "Ready: $(BIN)/vivace --help"

# The mark is written last: an interrupted installation is taken up again, a finished one costs nothing.
$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vivace needs Python 3.11 or newer; name one, such as: make setup PYTHON=python3.12" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv || \
	  { echo "Python lacks its venv module; on Debian and Ubuntu: apt install python3-venv" >&2; exit 2; }
	@echo "Installing vivace into .venv; the first time this takes some minutes (PyTorch is large)."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# Made anew when the shipped model is.
demo/clip.mp4: $(INSTALLED) $(wildcard src/vivace/nano/nano-nava/model_index.json)
	$(BIN)/vivace generate "$(PROMPT)" --seed $(SEED) --output $@ --contact-sheet

demo: demo/clip.mp4
	@echo
	@echo "Your clip:  $(CURDIR)/demo/clip.mp4  (beside it: its record and a contact sheet)"
	@case "$$(uname)" in \
	  Darwin) echo "Play it:    open demo/clip.mp4" ;; \
	  *) echo "Play it:    xdg-open demo/clip.mp4, or open it in any browser or player" ;; esac
	@echo "Your own:   $(BIN)/vivace generate \"someone taps a blue drum three times\" --seed 1"

test: $(INSTALLED)
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
