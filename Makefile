# The study as a table of rules: which notebook makes which file from what. `make help` says what can be asked for.

# Variables, to be set on the command line: make all STUDY=squad MODELS="bert distilbert" SEEDS="0 1" DEVICE=cuda
STUDY  ?= demo
MODELS ?=
SEEDS  ?=
DEVICE ?= auto
# Processes that share every update of a training, in place of what the study says, and the command that starts them
# where it is not `accelerate launch` on this machine
NPROC      ?=
ACCELERATE ?=
# A command to put in front of every notebook, so that a cluster's scheduler runs it; the jobs are then as many as -j says.
# Profiling measures time, and may ask for a machine of its own: LAUNCH_PROFILE="srun --exclusive --gpus=1"
LAUNCH         ?=
LAUNCH_PROFILE ?= $(LAUNCH)
# For a forecast on paper: each model so many times, at so many 10^12 FLOP/s, at another price
COPIES ?= 1
TFLOPS ?=
PRICE  ?=
# Where Python is, and where the environment goes; in an active conda environment: VENV=$CONDA_PREFIX
PYTHON ?= python3
VENV   ?= .venv

override STUDY := $(strip $(STUDY))
STUDY_FILE := $(if $(filter %.yaml %.yml,$(STUDY)),$(STUDY),studies/$(STUDY).yaml)
NAME       := $(basename $(notdir $(STUDY_FILE)))
RUN        := runs/$(NAME)
REPORT     := reports/$(NAME)/index.html
GRAPH      := $(RUN)/graph.mk
READY      := $(VENV)/.qa-tradeoffs-ready
PY         := $(VENV)/bin/python

# The shell reads these variables, and `make clean` removes what is named after the study: with STUDY= it would be all.
ASKED  := $(STUDY)$(MODELS)$(SEEDS)$(DEVICE)$(NPROC)$(COPIES)$(TFLOPS)$(PRICE)$(HUB_ORG)$(PIECES)
UNSAFE := $(foreach c,' " ` ; & | < > ( ) { } [ ] * ? ! ~ = : # % \,$(findstring $(c),$(ASKED)))
UNSAFE := $(strip $(UNSAFE)$(findstring $$,$(ASKED)))
ifneq ($(UNSAFE),)
$(error error: variables such as STUDY, MODELS and SEEDS are names and numbers; $(firstword $(UNSAFE)) is in none of them)
endif
TWICE := $(firstword $(foreach variable,MODELS SEEDS,\
  $(if $(filter-out $(words $(sort $($(variable)))),$(words $($(variable)))),$(variable))))
ifneq ($(TWICE),)
$(error error: $(TWICE): '$($(TWICE))' names one twice; name each once)
endif
ifneq ($(words $(STUDY)) $(words $(NAME))$(filter . ..,$(NAME)),1 1)
$(error error: STUDY: '$(STUDY)' is no study; give demo, squad, or the path of a study file without blanks)
endif

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Training and profiling measure time: on one machine, two notebooks at once would measure each other.
ifeq ($(strip $(LAUNCH)),)
.NOTPARALLEL:
else
# Behind a launcher no notebook has this terminal: each says how far it is in lines of its own.
export QA_TRADEOFFS_LINES := $(shell test -t 2 && echo 1)
endif
export QA_TRADEOFFS_ACCELERATE := $(ACCELERATE)
# Kernels are forked from a process that has loaded the libraries and ends with this make: not from one on another
# machine or outside of a launcher's limits, and not where there may be a GPU, which a forked process cannot use.
KERNELS := $(if $(strip $(LAUNCH)$(LAUNCH_PROFILE)$(wildcard /dev/nvidia* /dev/kfd /dev/dxg)),,--make $(shell echo $$PPID))
.PHONY: help plan forecast all train evaluate profile report publish push reproduce anomaly bench setup lab test test-slow test-cluster lint types smoke clean FORCE

ifeq ($(filter grouped-target,$(.FEATURES)),)
$(error error: this Makefile needs GNU make 4.3 or newer, this is $(MAKE_VERSION))
endif

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo '  with STUDY=demo|squad|path/to/study.yaml  MODELS="bert distilbert"  SEEDS="0 1"  DEVICE=cpu|cuda|auto'
	@echo '  with WAIT=1: wait while another make is at work on the same study'
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

# --- the study ---------------------------------------------------------------------------------------------------------

# Two at once would write the same files. The lock is held until this make has ended, in whatever way.
ifneq ($(filter all train evaluate profile report publish clean runs/% reports/%,$(MAKECMDGOALS)),)
ifndef MAKE_RESTARTS
LOCKED := $(shell PYTHONPATH=src exec $(if $(wildcard $(PY)),$(PY),$(PYTHON)) -m qa_tradeoffs.core.locks \
  runs/.$(NAME).lock $$PPID $(if $(WAIT),--wait))
ifneq ($(LOCKED),locked)
$(error error: $(or $(LOCKED),the lock runs/.$(NAME).lock could not be taken))
endif
endif
endif

# Models, seeds, data files and each stage's code come from the study file; only what builds a study needs to read it.
ifneq ($(filter all plan train evaluate profile report publish runs/% reports/%,$(MAKECMDGOALS)),)
ifeq ($(wildcard $(STUDY_FILE)),)
$(error error: STUDY: there is no file $(STUDY_FILE); give demo, squad, or the path of a study file)
endif
include $(GRAPH)
endif

CHOSEN_MODELS := $(or $(strip $(MODELS)),$(STUDY_MODELS))
CHOSEN_SEEDS  := $(or $(strip $(SEEDS)),$(STUDY_SEEDS))
ifdef STUDY_MODELS
UNKNOWN := $(firstword $(filter-out $(STUDY_MODELS),$(CHOSEN_MODELS)))
$(if $(UNKNOWN),$(error error: MODELS: there is no model '$(UNKNOWN)' in $(STUDY_FILE); it has $(STUDY_MODELS)))
endif

# What each stage's result depends on, beside its notebook, the study and the data: editing figures.py trains nothing.
# TRAIN_CODE, EVALUATE_CODE and PROFILE_CODE are in inputs.py: the analysis, too, refuses results of other code.
code = $(patsubst %,src/qa_tradeoffs/%.py,$(1))
ANALYSIS_CODE := $(call code,core/documents study/config study/prices runs/inputs runs/results metrics/costs metrics/intervals metrics/flops study/published analysis/audit report/audit_findings analysis/tables analysis/provenance analysis/health analysis/compute report/findings metrics/choice report/choice_findings report/figures report/download \
  report/display analysis/attribution report/anomaly_findings report/anomaly_figures metrics/squad metrics/no_answer report/no_answer_findings report/no_answer_figures data/sources data/generated data/example metrics/calibration \
  analysis/excerpts analysis/compared analysis/passages analysis/slices analysis/agreement analysis/confidence analysis/cases report/difference_findings report/difference_figures)
REPORT_CODE   := $(call code,report/pages report/display core/files) $(wildcard src/qa_tradeoffs/report/templates/*)

$(GRAPH): $(STUDY_FILE) studies/prices.yaml $(call code,core/documents study/config study/prices runs/inputs runs/graph) | $(READY)
	@mkdir -p $(RUN)
	@$(PY) -m qa_tradeoffs.runs.graph $(STUDY_FILE) $(RUN) > $@.new && mv $@.new $@

# Written with the graph, and only when their content changes.
$(RUN)/stages/%.json: $(GRAPH) ;

# What was asked for on the command line, touched only when it changes.
$(RUN)/selection: asked = $(CHOSEN_MODELS) with seeds $(CHOSEN_SEEDS)
$(RUN)/device: asked = $(DEVICE)
$(RUN)/selection $(RUN)/device: FORCE
	@mkdir -p $(@D)
	@echo '$(asked)' | cmp -s - $@ || echo '$(asked)' > $@

# $(1) model, $(2) seed
define train_rule
$(RUN)/$(1)/seed-$(2)/training.json $(RUN)/$(1)/seed-$(2)/1-train.ipynb &: \
  notebooks/1-train.ipynb $(RUN)/stages/train-$(1).json $(TRAIN_CODE) $(DATA_FILES) $(FILES_$(1)) \
  | $(READY) $(FIRST)
	@$(LAUNCH) $(PY) -m qa_tradeoffs.runs.execute $$< $(RUN)/$(1)/seed-$(2)/1-train.ipynb --result $(RUN)/$(1)/seed-$(2)/training.json \
	  --scratch $(RUN)/$(1)/seed-$(2)/unfinished $(KERNELS) -p study '"$(STUDY_FILE)"' -p run '"$(RUN)"' -p model '"$(1)"' -p seed $(2) -p device $(DEVICE) \
	  $(if $(NPROC),-p processes $(NPROC))
endef

define evaluate_rule
$(RUN)/$(1)/seed-$(2)/evaluation.json $(RUN)/$(1)/seed-$(2)/2-evaluate.ipynb &: \
  notebooks/2-evaluate.ipynb $(RUN)/stages/evaluate-$(1).json $(EVALUATE_CODE) $(DATA_FILES) $(FILES_$(1)) \
  $(if $(filter $(1),$(STUDY_TRAINED)),$(RUN)/$(1)/seed-$(2)/1-train.ipynb) | $(READY) $(FIRST)
	@$(LAUNCH) $(PY) -m qa_tradeoffs.runs.execute $$< $(RUN)/$(1)/seed-$(2)/2-evaluate.ipynb --result $(RUN)/$(1)/seed-$(2)/evaluation.json \
	  $(KERNELS) -p study '"$(STUDY_FILE)"' -p run '"$(RUN)"' -p model '"$(1)"' -p seed $(2) -p device $(DEVICE)
endef

define profile_rule
$(RUN)/$(1)/profile.json $(RUN)/$(1)/3-profile.ipynb &: \
  notebooks/3-profile.ipynb $(RUN)/stages/profile-$(1).json $(PROFILE_CODE) $(DATA_FILES) $(FILES_$(1)) \
  $(RUN)/device | $(READY) $(FIRST)
	@$(LAUNCH_PROFILE) $(PY) -m qa_tradeoffs.runs.execute $$< $(RUN)/$(1)/3-profile.ipynb --result $(RUN)/$(1)/profile.json \
	  $(KERNELS) -p study '"$(STUDY_FILE)"' -p run '"$(RUN)"' -p model '"$(1)"' -p device $(DEVICE)
endef

# A model that came fine-tuned is not trained, and is evaluated once.
seeds_of  = $(if $(filter $(1),$(STUDY_TRAINED)),$(CHOSEN_SEEDS),$(firstword $(CHOSEN_SEEDS)))
notebooks = $(foreach model,$(2),$(foreach seed,$(call seeds_of,$(model)),$(RUN)/$(model)/seed-$(seed)/$(1).ipynb))
TRAINED   := $(call notebooks,1-train,$(filter $(STUDY_TRAINED),$(CHOSEN_MODELS)))
EVALUATED := $(call notebooks,2-evaluate,$(CHOSEN_MODELS))
PROFILED  := $(foreach model,$(CHOSEN_MODELS),$(RUN)/$(model)/3-profile.ipynb)
# Said before anything that was not done yet; to profile alone needs none of what training does.
UNDONE    := $(filter-out $(wildcard $(TRAINED) $(EVALUATED) $(PROFILED)),$(TRAINED) $(EVALUATED) $(PROFILED))
FIRST     := $(if $(UNDONE),$(if $(filter profile,$(MAKECMDGOALS)),,forecast))
RESULTS   := $(TRAINED:1-train.ipynb=training.json) $(EVALUATED:2-evaluate.ipynb=evaluation.json) \
  $(PROFILED:3-profile.ipynb=profile.json)

# Complete as soon as they are there: an interrupted make must not delete what has just been finished.
.PRECIOUS: $(RESULTS) $(TRAINED) $(EVALUATED) $(PROFILED) $(RUN)/4-analysis.ipynb $(REPORT)

$(foreach model,$(filter $(STUDY_TRAINED),$(CHOSEN_MODELS)),$(foreach seed,$(CHOSEN_SEEDS),\
  $(eval $(call train_rule,$(model),$(seed)))))
$(foreach model,$(CHOSEN_MODELS),$(foreach seed,$(call seeds_of,$(model)),$(eval $(call evaluate_rule,$(model),$(seed)))))
$(foreach model,$(CHOSEN_MODELS),$(eval $(call profile_rule,$(model))))

$(RUN)/4-analysis.ipynb: notebooks/4-analysis.ipynb $(TRAINED) $(EVALUATED) $(PROFILED) $(RESULTS) \
  $(RUN)/stages/analysis.json $(RUN)/selection studies/prices.yaml studies/published.yaml $(ANALYSIS_CODE) \
  benchmarks/results/anomaly.json $(wildcard runs/anomaly.json) | $(READY)
	@$(LAUNCH) $(PY) -m qa_tradeoffs.runs.execute $< $@ $(KERNELS) -p study '"$(STUDY_FILE)"' -p run '"$(RUN)"' \
	  -p models '"$(CHOSEN_MODELS)"' -p seeds '"$(CHOSEN_SEEDS)"'

$(REPORT): $(RUN)/4-analysis.ipynb $(REPORT_CODE) | $(READY)
	@$(PY) -m qa_tradeoffs.report.pages $(STUDY_FILE) $(RUN) $(@D) $(TRAINED) $(EVALUATED) $(PROFILED)

# Before anything that was not done yet: what the study will still take, and whether the disk can hold it.
FORECAST = $(PY) -m qa_tradeoffs.runs.plan $(STUDY_FILE) $(RUN) --models $(CHOSEN_MODELS) --seeds $(CHOSEN_SEEDS)
forecast: | $(READY)
	@$(FORECAST) --before-start

plan: | $(READY) ## what the study will need: time, money, disk, memory; runs none of it
	@$(FORECAST) --copies '$(COPIES)' $(if $(TFLOPS),--tflops '$(TFLOPS)') $(if $(PRICE),--price '$(PRICE)')

all: $(REPORT) ## run the study and render its report
	@echo '$(abspath $(REPORT))'

train: $(TRAINED)      ## fine-tune the models
evaluate: $(EVALUATED) ## fine-tune and score them
profile: $(PROFILED)   ## measure time and size only
report: all            ## the same as all

publish: $(REPORT) ## put the report where it is committed, and its main figures into the README
	@$(PY) -m qa_tradeoffs.publish.snapshot $(STUDY_FILE) $(RUN) reports/published/$(NAME) $(TRAINED) $(EVALUATED) $(PROFILED) \
	  --models '$(CHOSEN_MODELS)' --seeds '$(CHOSEN_SEEDS)'
	@$(PY) -m benchmarks.readme

push: $(READY) ## show what would be uploaded to the Hub; with CONFIRM=yes upload it, under the name HUB_ORG=...
	@$(PY) -m qa_tradeoffs.publish.push '$(STUDY_FILE)' --owner '$(HUB_ORG)' --models $(MODELS) --seeds $(SEEDS) \
	  $(if $(filter yes,$(CONFIRM)),--confirmed)

reproduce: ## train and evaluate once more from nothing, and compare every byte but the times
	@$(MAKE) --no-print-directory evaluate
	@rm -rf $(RUN)/.again && $(MAKE) --no-print-directory evaluate RUN=$(RUN)/.again
	@$(PY) -m qa_tradeoffs.runs.compare $(RUN) $(RUN)/.again

anomaly: $(READY) ## time SqueezeBERT's variants side by side (on two cores half an hour); the reports show it
	@$(PY) -m qa_tradeoffs.profiling.anomaly --device $(DEVICE)

bench: $(READY) ## the plain recipe and ours side by side, in one run (some ten minutes)
	@$(PY) -m benchmarks $(PIECES)

# --- the rest ----------------------------------------------------------------------------------------------------------

lab: $(READY) ## open the notebooks in JupyterLab
	@$(VENV)/bin/jupyter lab --notebook-dir=. notebooks/1-train.ipynb

smoke: ## a tiny study from end to end, in under a minute
	@$(MAKE) --no-print-directory all STUDY=smoke MODELS= SEEDS=

test: $(READY) ## run the tests, two at a time
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadgroup

test-slow: $(READY) ## run the tests that take minutes
	@$(PY) -m pytest -m slow

test-cluster: $(READY) ## run a small study on a Slurm of this machine (as root, where Slurm is installed)
	@$(PY) -m pytest -m cluster -rs tests/end_to_end/test_cluster.py

lint: $(READY) ## check style, and that notebooks are stored without outputs
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@$(VENV)/bin/nbstripout --verify notebooks/*.ipynb

types: $(READY) ## check types
	@$(VENV)/bin/mypy

# In an environment of its own: what audits is no part of what is audited.
AUDIT := $(VENV)/audit/bin/pip-audit
audit: $(READY) ## ask PyPI for known vulnerabilities of what constraints.txt pins (needs the network)
	@test -x $(AUDIT) || { $(PY) -m venv $(VENV)/audit && \
	  $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; } \
	  || { echo 'error: audit: pip-audit could not be installed; it needs a package index' >&2; exit 1; }
	@$(AUDIT) --requirement constraints.txt --strict --no-deps --disable-pip --progress-spinner off 2> $(VENV)/audit/said; \
	  code=$$?; cat $(VENV)/audit/said >&2; \
	  if grep -q '^ERROR\|^Traceback' $(VENV)/audit/said; then \
	    echo 'error: audit: the vulnerability service was not reached or gave no answer, so nothing is known' >&2; \
	  elif [ $$code -ne 0 ]; then \
	    echo 'error: audit: known vulnerabilities; raise the pins named above in constraints.txt' >&2; fi; exit $$code

clean: ## remove this study's results and report
	rm -rf $(RUN) reports/$(NAME)
