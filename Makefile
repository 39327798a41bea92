# make demo    check one photograph with a light install of its own (no torch)
# make test    set up .venv and run every check and test
# make bench   measure speed; one line a figure (ARGS=--full for the stated sizes)
# make extension  pack the browser extension for the stores, into dist/
# make clean   remove what the above made
#
# PYTHON chooses the interpreter (3.11 or later), VENV the folder of the environment.

PYTHON ?= python3
VENV ?= .venv
DEMO := .venv-demo
ARGS ?=

PIP_OPTIONS := -qq --disable-pip-version-check --no-input --retries 5 --timeout 60
SHIPPED := $(shell find sdk server worker training -type f -not -name '*.py[co]' 2>/dev/null)

# The images for training and measuring, where this machine has them.
ifndef AIDETECT_DATA
ifneq ($(wildcard ../shared/data),)
export AIDETECT_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: help demo test bench extension clean
help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

# A virtual environment, or a sentence that says what is missing. $(1): its folder.
define create_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	echo "$(PYTHON) is missing or older than 3.11; name another: make PYTHON=python3.12 …" >&2; exit 1; }
@$(PYTHON) -m venv $(1) || { rm -rf $(1); \
	echo "$(PYTHON) cannot create a virtual environment; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
	exit 1; }
endef

$(DEMO)/bin/pip:
	$(call create_venv,$(DEMO))

$(DEMO)/.installed: pyproject.toml $(SHIPPED) | $(DEMO)/bin/pip
	@echo "Installing into $(DEMO) …"
	@$(DEMO)/bin/python -m pip install $(PIP_OPTIONS) --no-cache-dir .
	@touch $@

demo: $(DEMO)/.installed
	@$(DEMO)/bin/python tests/demo_photo.py $(DEMO)/china.jpg
	@$(DEMO)/bin/aidetect check $(DEMO)/china.jpg
	@echo "On disk: $$(du -sh $(DEMO) | cut -f1) in $(DEMO)"

$(VENV)/bin/pip:
	$(call create_venv,$(VENV))

# Again when the dependencies change, or the version, which stands in __init__.py.
$(VENV)/.installed: pyproject.toml sdk/aidetect/__init__.py | $(VENV)/bin/pip
	@echo "Installing into $(VENV), with torch; this takes some minutes and gigabytes once …"
	@$(VENV)/bin/python -m pip install $(PIP_OPTIONS) -e '.[all,dev]'
	@touch $@

# All run, whatever the ones before them found. Tests that start servers, workers and browsers mostly wait:
# they run beside the others, and their output follows. The trainer's tests have a process of their own:
# in one that also held ONNX Runtime and OpenVINO, training ended twice in a segmentation fault.
STARTING := tests/end_to_end tests/extension tests/server tests/worker
PYTEST := $(VENV)/bin/python -m pytest

test: $(VENV)/.installed
	@failed=; \
	$(PYTEST) $(STARTING) $(ARGS) >$(VENV)/starting.log 2>&1 & starting=$$!; \
	trap 'kill $$starting 2>/dev/null' EXIT; \
	$(VENV)/bin/ruff check . || failed="$$failed ruff-check"; \
	$(VENV)/bin/ruff format --check . || failed="$$failed ruff-format"; \
	$(VENV)/bin/mypy || failed="$$failed mypy"; \
	$(PYTEST) $(STARTING:%=--ignore=%) --ignore=tests/training $(ARGS) || failed="$$failed pytest"; \
	$(PYTEST) tests/training $(ARGS) || failed="$$failed pytest-training"; \
	wait $$starting || failed="$$failed pytest-starting"; \
	cat $(VENV)/starting.log; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

bench: $(VENV)/.installed
	@$(VENV)/bin/python tests/bench/_all.py $(ARGS)

extension:
	@$(PYTHON) extension/package.py dist

clean:
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .pytest_cache .ruff_cache
	find sdk server worker training tests -name __pycache__ -type d -prune -exec rm -rf {} +
