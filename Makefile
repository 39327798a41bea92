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
	@echo "Installing into $(DEMO), which may take some minutes once …"
	@$(DEMO)/bin/python -m pip install $(PIP_OPTIONS) --no-cache-dir .
	@touch $@

demo: $(DEMO)/.installed
	@$(DEMO)/bin/python tests/demo_photo.py $(DEMO)/china.jpg
	@$(DEMO)/bin/aidetect check $(DEMO)/china.jpg
	@echo "The photograph is real (china.jpg of scikit-learn). How often such answers are right: README.md."
	@echo "On disk: $$(du -sh $(DEMO) | cut -f1) in $(DEMO)"

$(VENV)/bin/pip:
	$(call create_venv,$(VENV))

# Again when the dependencies change, or the version, which stands in __init__.py.
$(VENV)/.installed: pyproject.toml sdk/aidetect/__init__.py | $(VENV)/bin/pip
	@echo "Installing into $(VENV), with torch; this takes some minutes and gigabytes once …"
	@$(VENV)/bin/python -m pip install $(PIP_OPTIONS) -e '.[all,dev]'
	@touch $@

# All run, whatever the others find: two at a time, since tests that start servers, workers and browsers
# mostly wait, and the longest first, so that both end together. Each folder of tests has a process of its
# own: in one that also held ONNX Runtime and OpenVINO, training ended twice in a segmentation fault.
SUITES := $(patsubst %/,%,$(sort $(dir $(wildcard tests/*/test_*.py))))
LONGEST := tests/end_to_end tests/sdk tests/training tests/extension
CHECKS := $(LONGEST) $(filter-out $(LONGEST),$(SUITES)) mypy ruff-check ruff-format
JOBS ?= 2
# What a check prints is shown when it has ended, where this make can do that.
TOGETHER := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

test: $(VENV)/.installed
	@echo "$(CHECKS): $(JOBS) at a time, each shown when it has ended"
	@rm -f $(VENV)/.failed
	@$(MAKE) --no-print-directory --keep-going --jobs=$(JOBS) $(TOGETHER) $(CHECKS) || { \
		echo "failed:" $$(cat $(VENV)/.failed) >&2; exit 1; }

.PHONY: $(CHECKS)
$(CHECKS): export OMP_NUM_THREADS := 1
$(CHECKS): $(VENV)/.installed

# $(1): what to run
define check
@echo "== $@"
@$(1) || { echo "$@" >>$(VENV)/.failed; exit 1; }
endef

# Where ARGS choose among the tests, a folder may be left with none: pytest's exit status is then 5.
$(SUITES):
	$(call check,$(VENV)/bin/python -m pytest $@ $(if $(filter tests/sdk,$@),$(wildcard tests/test_*.py)) \
		$(ARGS) $(if $(ARGS),|| [ $$? -eq 5 ]))

mypy:
	$(call check,$(VENV)/bin/mypy)

ruff-check:
	$(call check,$(VENV)/bin/ruff check .)

ruff-format:
	$(call check,$(VENV)/bin/ruff format --check .)

bench: $(VENV)/.installed
	@$(VENV)/bin/python tests/bench/_all.py $(ARGS)

extension:
	@$(PYTHON) extension/package.py dist

clean:
	rm -rf $(VENV) $(DEMO) build dist .mypy_cache .pytest_cache .ruff_cache
	find sdk server worker training tests -name __pycache__ -type d -prune -exec rm -rf {} +
