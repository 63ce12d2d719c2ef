# What can be asked for; `make help` lists it. Targets for a study are carried out by src/qa_tradeoffs/runs/make.py,
# which writes the rules of its stages to runs/<study>/rules.mk.

# Variables, to be set on the command line: make all STUDY=squad MODELS="bert distilbert" SEEDS="0 1" DEVICE=cuda
STUDY  ?= demo
MODELS ?=
SEEDS  ?=
DEVICE ?= auto
# The folder of results, where it is not runs/<name of the study>
RUN    ?=
# WAIT=1: wait while another make is at work on the same study
WAIT   ?=
# Processes that share every update of a training, and the command that starts them in place of `accelerate launch`
NPROC      ?=
ACCELERATE ?=
# A command in front of every notebook, so that a cluster's scheduler runs it; -j says how many run at once. Profiling
# measures time, and may ask for a machine of its own: LAUNCH_PROFILE="srun --exclusive --gpus=1"
LAUNCH         ?=
LAUNCH_PROFILE ?=
# For a forecast on paper: each model so many times, at so many 10^12 FLOP/s, at another price
COPIES ?= 1
TFLOPS ?=
PRICE  ?=
# make push: the Hub's user or organisation, and CONFIRM=yes to upload
HUB_ORG ?=
CONFIRM ?=
# make export: the engine whose network is exported
ENGINE ?= onnxruntime-int8
# make compare: the folders of two runs, how many points of F1 the second may lose without significance, how many times
# as long its models may take beside the first of them; JSON=1 for all figures as JSON
A      ?=
B      ?=
DROP   ?= 1
SLOWER ?= 1.1
JSON   ?=
# make bench: a folder with an encoder and its tokenizer, a file of SQuAD's kind, which rows, how many rounds
ENCODER ?=
SQUAD   ?=
ROWS    ?=
ROUNDS  ?= 5
# Where Python is, and where the environment goes; in an active conda environment: VENV=$CONDA_PREFIX
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
	@echo '  on paper: make plan STUDY=squad COPIES=5 SEEDS="0 1 2 3 4" TFLOPS=5.2 PRICE=gcp-p100'

# --- the environment ---------------------------------------------------------------------------------------------------

setup: $(READY) ## create the environment in .venv (the other commands do it by themselves)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo 'error: Python 3.11 or newer is needed; set PYTHON=path/to/python' >&2; exit 1; }
	@echo 'installing into $(VENV) (some minutes, once)'
	@$(PY) -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

# --- the study; the + lets `make -n` list its commands, and `make -j` count its jobs -------------------------------------

STUDY_MAKE = @$(PY) -m qa_tradeoffs.runs.make

# A study that cannot be run is refused here, in one sentence: after a recipe that fails, make adds lines of its own.
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
train: $(READY)     ## fine-tune the models
	+$(STUDY_MAKE) train
evaluate: $(READY)  ## fine-tune and score them
	+$(STUDY_MAKE) evaluate
profile: $(READY)   ## measure each model's time and size by itself
	+$(STUDY_MAKE) profile
side-by-side: $(READY) ## fine-tune the models and time them side by side
	+$(STUDY_MAKE) compare
report: all         ## the same as all
publish: $(READY)   ## put the report where it is committed, and its main figures into the README
	+$(STUDY_MAKE) publish
reproduce: $(READY) ## train and evaluate once more from nothing, and compare every byte but the times
	+$(STUDY_MAKE) reproduce
runs/% reports/%: FORCE $(READY)
	+$(STUDY_MAKE) $@

plan: $(READY)      ## what the study will need: time, money, disk, memory; runs none of it
	$(STUDY_MAKE) plan
compare: $(READY)   ## what changed from run A=runs/x to run B=runs/y; fails where B is worse
	@$(PY) -m qa_tradeoffs.report.changes "$$A" "$$B" --drop "$$DROP" --slower "$$SLOWER" $(if $(JSON),--json)
push: $(READY)      ## show what would be uploaded to the Hub; with CONFIRM=yes upload it, under the name HUB_ORG=...
	@$(PY) -m qa_tradeoffs.publish.push "$$STUDY" --owner "$$HUB_ORG" --models $$MODELS --seeds $$SEEDS --run "$$RUN" \
	  $(if $(filter yes,$(CONFIRM)),--confirmed)
export: $(READY)    ## write folders that can be shipped, answering without torch, to exports/: ENGINE=onnxruntime-int8
	@$(PY) -m qa_tradeoffs.publish.ship "$$STUDY" --engine "$$ENGINE" --models $$MODELS --run "$$RUN"
clean:              ## remove this study's results and report
	@PYTHONPATH=src $(PYTHON) -m qa_tradeoffs.runs.clean

# --- measurements that belong to no study --------------------------------------------------------------------------------

anomaly: $(READY)   ## time SqueezeBERT's variants side by side (on two cores half an hour); the reports show it
	@$(PY) -m qa_tradeoffs.runs.anomaly --device "$$DEVICE"
	@$(PY) -m qa_tradeoffs.analysis.anomaly
aa: $(READY)        ## how often one network under three names is called faster than itself (some minutes)
	@$(PY) -m benchmarks.aa
bench: $(READY)     ## what a careful user would run and ours, in turn (on two cores some four hours)
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
test-cluster: $(READY) ## run a small study on a Slurm of this machine (as root, where Slurm is installed)
	@$(PY) -m pytest -m cluster -rs tests/end_to_end/test_cluster.py
coverage: $(READY)  ## run the tests and measure which lines they run; too few are an error
	@$(PYTEST) -n 2 --dist loadgroup --cov --cov-report=term:skip-covered

lint: $(READY)      ## check style, which wing imports which, and that notebooks are stored without outputs
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/lint-imports --no-cache
	@$(VENV)/bin/nbstripout --verify notebooks/*.ipynb
types: $(READY)     ## check types
	@$(VENV)/bin/mypy
audit: $(READY)     ## ask PyPI for known vulnerabilities of what constraints.txt pins (needs the network)
	@VENV='$(VENV)' .ci/audit

# --- the documentation -----------------------------------------------------------------------------------------------------

# The site is made from copies that lie as the files do here, so that the same links work in both.
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
