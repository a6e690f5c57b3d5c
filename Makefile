# Every target does its own set-up into .venv. `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help setup demo test lint soak bench check-serve-install lock clean \
        preprocess_training_files preprocess_new_files launch
SHELL := /bin/bash
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
DATA ?= data/new_data
# Two processes: the suite loads models, and memory runs out before cores do.
TEST_PROCESSES ?= 2
# FORCE=0 is a no, as an empty one is.
yes = $(filter-out 0 n N no No NO off false,$(1))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z_-]+:.*## / { printf "  make %-27s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything into .venv (the other targets do it too)
	@scripts/setup.sh

demo: setup ## the main job end to end; PHOTOS=dir (folder per breed) for your own photos
	@$(BIN)/python -m doggo.apps.demo $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(call yes,$(FORCE)),--force)

test: lint ## everything CI checks: style, types, layers, tests
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) -m "not soak" -rs $(ARGS)

lint: setup ## style, types and the direction of imports
	@$(BIN)/ruff check --no-cache
	@$(BIN)/ruff format --check --no-cache
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache --no-logo

soak: setup ## the long fault tests: kill -9 over and over, nothing lost, doubled or torn
	@$(BIN)/python -m pytest -m soak --timeout 3600 $(ARGS)

bench: setup ## every benchmark, each beside its floor or peer; fails below its bar
	@$(BIN)/python benchmarks/run_all.py $(ARGS)

check-serve-install: setup ## the base install alone, on every Python 3.11 to 3.13 found here, and with `fast`
	@$(BIN)/python -m pytest tests/test_serve_install.py -rs $(ARGS)

preprocess_training_files: setup ## DATA=dir: labelled photos in, a dataset out; ARGS for `doggo preprocess`
	@$(BIN)/doggo intake "$(DATA)"
	@$(BIN)/doggo preprocess $(ARGS)

preprocess_new_files: setup ## DATA=dir: the same into the buckets for new photos
	@$(BIN)/doggo intake --new "$(DATA)"
	@$(BIN)/doggo preprocess --new $(ARGS)

launch: setup ## model=NAME: serve it, if it is in production, and the bot; ARGS for `doggo serve`
	@test -n "$(model)" || { echo "say which: make launch model=efficientnet_lite0" >&2; exit 2; }
	@$(BIN)/doggo serve --model "$(model)" --ngrok $(ARGS)

COMPILE = UV_SYSTEM_CERTS=true UV_CUSTOM_COMPILE_COMMAND="make lock" .venv/.uv/bin/uv pip compile --quiet --universal \
	--python-version 3.11 --generate-hashes
lock: setup ## write requirements/*.lock anew from pyproject.toml; UPGRADE=1 takes newer versions
	@$(COMPILE) $(if $(call yes,$(UPGRADE)),--upgrade) pyproject.toml -o requirements/serve.lock
	@$(COMPILE) $(if $(call yes,$(UPGRADE)),--upgrade) --extra fast --extra gcs --extra s3 --extra postgres --extra train --extra neptune --extra dev pyproject.toml -o requirements/dev.lock
	@$(COMPILE) $(if $(call yes,$(UPGRADE)),--upgrade) requirements/setup.in -o requirements/setup.lock

clean: ## remove .venv and caches; photos, models and doggo-data stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist site
	@find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
