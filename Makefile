# All commands; `make help` lists them. Targets of a study are handled by src/qa_tradeoffs/runs/make.py, which writes the
# rules of its stages to runs/<study>/rules.mk.

# Variables, to be set on the command line: make all STUDY=squad MODELS="bert distilbert" SEEDS="0 1" DEVICE=cuda
STUDY  ?= demo
MODELS ?=
SEEDS  ?=
DEVICE ?= auto
# The folder of results, if it is not runs/<name of the study>
RUN    ?=
# WAIT=1: wait while another make works on the same study
WAIT   ?=
# Processes that share every training update, and a command that starts them instead of `accelerate launch`
NPROC      ?=
ACCELERATE ?=
# A command prefix for every notebook, so that a cluster's scheduler runs it; -j limits how many run at once. Profiling
# measures time and may need a machine to itself: LAUNCH_PROFILE="srun --exclusive --gpus=1"
LAUNCH         ?=
LAUNCH_PROFILE ?=
# make plan: copies of each model, the hardware's 10^12 FLOP/s instead of measurements, another price
COPIES ?= 1
TFLOPS ?=
PRICE  ?=
# make push: the Hub's user or organisation, and CONFIRM=yes to upload
HUB_ORG ?=
CONFIRM ?=
# make export: the engine whose network is exported
ENGINE ?= onnxruntime-int8
# make compare: the folders of two runs; DROP, the points of F1 that a model may lose without significance; SLOWER, the
# factor by which its time relative to the first model may grow; JSON=1 prints all figures as JSON
A      ?=
B      ?=
DROP   ?= 1
SLOWER ?= 1.1
JSON   ?=
# make bench: a folder with an encoder and its tokenizer, a file in SQuAD's format, the rows, the number of rounds
ENCODER ?=
SQUAD   ?=
ROWS    ?=
ROUNDS  ?= 5
# Python, and the folder of the environment; in an active conda environment: VENV=$CONDA_PREFIX
PYTHON ?= python3
VENV   ?= .venv
export STUDY MODELS SEEDS DEVICE RUN WAIT NPROC LAUNCH LAUNCH_PROFILE COPIES TFLOPS PRICE HUB_ORG CONFIRM ENGINE \
  A B DROP SLOWER ENCODER SQUAD ROWS ROUNDS
export QA_TRADEOFFS_ACCELERATE = $(ACCELERATE)

READY := $(VENV)/.qa-tradeoffs-ready
PY    := $(VENV)/bin/python

ifeq ($(filter grouped-target,$(.FEATURES)),)
$(error error: this Makefile needs GNU make 4.3 or newer, this is $(MAKE_VERSION))
endif
.DEFAULT_GOAL := help
.PHONY: help plan all train evaluate profile side-by-side report publish push export reproduce compare anomaly aa bench \
  setup lab smoke test test-slow test-cluster coverage lint types audit clean FORCE

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  with STUDY=demo|squad|path/to/study.yaml  MODELS="bert distilbert"  SEEDS="0 1"  DEVICE=cpu|cuda|auto'
	@echo '  with RUN=runs/name for another folder of results, WAIT=1 to wait for another make on the same study'
	@echo '  several GPUs in one training: make all STUDY=squad NPROC=4'
	@echo '  many machines: make -j8 all STUDY=squad LAUNCH="srun --gpus=1" LAUNCH_PROFILE="srun --gpus=1 --exclusive"'
	@echo '  forecast: make plan STUDY=squad COPIES=5 SEEDS="0 1 2 3 4" TFLOPS=5.2 PRICE=gcp-p100'

# --- the environment ---------------------------------------------------------------------------------------------------

setup: $(READY) ## create the environment in .venv (the other commands do it if needed)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'error: Python 3.11 or newer is needed; set PYTHON=path/to/python' >&2; exit 1; }
	@echo 'installing into $(VENV) (a few minutes, once)'
	@$(PY) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# --- the study; the + lets `make -n` list its commands and `make -j` count its jobs --------------------------------------

STUDY_MAKE = @$(PY) -m qa_tradeoffs.runs.make

# A study that cannot run is refused here, in one sentence, since make adds lines after a failed recipe.
OF_A_STUDY := all train evaluate profile side-by-side report publish push export reproduce plan runs/% reports/%
quoted = '$(subst ','\'',$(1))'
ifneq ($(and $(filter $(OF_A_STUDY),$(MAKECMDGOALS)),$(wildcard $(READY))),)
CHECK := $(foreach name,STUDY MODELS SEEDS DEVICE RUN NPROC,$(name)=$(call quoted,$($(name))))
REFUSED := $(shell $(CHECK) $(PY) -m qa_tradeoffs.runs.selection 2>&1)
ifneq ($(.SHELLSTATUS),0)
$(error $(REFUSED))
endif
endif

all: $(READY)       ## run the study and render its report
	+$(STUDY_MAKE) all
train: $(READY)     ## train the models
	+$(STUDY_MAKE) train
evaluate: $(READY)  ## train and score them
	+$(STUDY_MAKE) evaluate
profile: $(READY)   ## measure the time and size of each model alone
	+$(STUDY_MAKE) profile
side-by-side: $(READY) ## train the models and time them side by side
	+$(STUDY_MAKE) compare
report: all         ## the same as all
publish: $(READY)   ## copy the report to where it is committed, and its main figures into the README
	+$(STUDY_MAKE) publish
reproduce: $(READY) ## train and evaluate again from scratch, and compare every byte except times
	+$(STUDY_MAKE) reproduce
runs/% reports/%: FORCE $(READY)
	+$(STUDY_MAKE) $@

plan: $(READY)      ## forecast what the study will need: time, money, disk, memory
	$(STUDY_MAKE) plan
compare: $(READY)   ## what changed from run A=runs/x to run B=runs/y; fails if B is worse
	@$(PY) -m qa_tradeoffs.report.changes "$$A" "$$B" --drop "$$DROP" --slower "$$SLOWER" $(if $(JSON),--json)
push: $(READY)      ## show what would be uploaded to the Hub; with CONFIRM=yes upload it, under the name HUB_ORG=...
	@$(PY) -m qa_tradeoffs.publish.push "$$STUDY" --owner "$$HUB_ORG" --models $$MODELS --seeds $$SEEDS --run "$$RUN" \
	  $(if $(filter yes,$(CONFIRM)),--confirmed)
export: $(READY)    ## write models for deployment without torch to exports/: ENGINE=onnxruntime-int8
	@$(PY) -m qa_tradeoffs.publish.ship "$$STUDY" --engine "$$ENGINE" --models $$MODELS --run "$$RUN"
clean:              ## remove this study's results and report
	@PYTHONPATH=src $(PYTHON) -m qa_tradeoffs.runs.clean

# --- measurements that belong to no study --------------------------------------------------------------------------------

anomaly: $(READY)   ## time SqueezeBERT's variants side by side, for the reports (half an hour on two cores)
	@$(PY) -m qa_tradeoffs.runs.anomaly --device "$$DEVICE"
	@$(PY) -m qa_tradeoffs.analysis.anomaly
aa: $(READY)        ## A/A test: how often one network under three names is called faster (minutes)
	@$(PY) -m benchmarks.aa
bench: $(READY)     ## time our code against what a careful user would run (four hours on two cores)
	@$(PY) -m benchmarks $$ROWS --rounds "$$ROUNDS"

# --- working on the code -------------------------------------------------------------------------------------------------

lab: $(READY)       ## open copies of the notebooks in JupyterLab, to step through and save
	@mkdir -p lab && cp --update notebooks/*.ipynb lab
	@$(VENV)/bin/jupyter lab --notebook-dir=. lab/1-train.ipynb
smoke: $(READY)     ## a tiny study from end to end, in under a minute
	+@STUDY=smoke MODELS= SEEDS= $(PY) -m qa_tradeoffs.runs.make all

PYTEST = OMP_NUM_THREADS=1 $(PY) -m pytest
test: $(READY)      ## run the tests, two at a time
	@$(PYTEST) -n 2 --dist loadgroup
test-slow: $(READY) ## run the tests that take minutes
	@$(PYTEST) -n 2 --dist loadgroup -m slow
test-cluster: $(READY) ## run a small study on this machine's own Slurm (as root, if Slurm is installed)
	@$(PY) -m pytest -m cluster -rs tests/end_to_end/test_cluster.py
coverage: $(READY)  ## run the tests and measure coverage; too little is an error
	@$(PYTEST) -n 2 --dist loadgroup --cov --cov-report=term:skip-covered

lint: $(READY)      ## check style, imports between wings, and that notebooks are stored without outputs
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/lint-imports --no-cache
	@$(VENV)/bin/nbstripout --verify notebooks/*.ipynb
types: $(READY)     ## check types
	@$(VENV)/bin/mypy
audit: $(READY)     ## check the pins in constraints.txt for known vulnerabilities (needs the network)
	@VENV='$(VENV)' .ci/audit

# --- the documentation -----------------------------------------------------------------------------------------------------

# The site is built from copies in the same folders as here, so that the same links work in both.
DOCS_READY := $(VENV)/.qa-tradeoffs-docs-ready
PAGES := README.md CONTRIBUTING.md SECURITY.md CHANGELOG.md LICENSE CITATION.cff docs reports/published
.PHONY: docs docs-serve

$(DOCS_READY): $(READY)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@
docs: $(DOCS_READY) ## build README and docs/ into one site: site/html/index.html
	@rm -rf site && mkdir -p site/pages && cp --recursive --parents $(PAGES) site/pages
	@NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --quiet --strict
	@echo '$(CURDIR)/site/html/index.html'
docs-serve: docs    ## build the site and serve it on this machine, where its search works
	@$(PY) -m http.server 0 --bind 127.0.0.1 --directory site/html
