# Everything that a person does in a checkout; `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help demo demo-down test lint unit sanity importer docs-check docs build bench venv engine image lock screenshot
SHELL := /bin/bash
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: venv engine ## Start nine hosts, deploy the cluster on them and run real tasks through it
	@tools/demo.sh

demo-down: venv engine ## Remove the demo
	@tools/lab.sh down demo -e lab_directory=$(CURDIR)/.demo

test: venv engine ## Run every check and test
	@tools/test.sh

lint: venv ## Lint shell scripts, Python and its types, YAML, roles, playbooks, changelog and plugin documentation
	tools/lint.sh

unit: venv .venv/bin/promtool ## Test plugins and scripts, and compare specs, defaults and READMEs
	pytest -q tests/unit

sanity: venv ## Run ansible-test sanity, without an ignore file
	tools/sanity.sh

importer: venv .venv-importer ## Check the tarball with Galaxy's importer
	tools/importer.sh

docs-check: venv ## Fail where the variable tables or the surveys for AWX are stale
	python tools/docs.py --check
	python tools/surveys.py --check

docs: venv ## Write the variable tables of the READMEs and of docs/, and the surveys for AWX
	python tools/docs.py
	python tools/surveys.py

build: venv ## Build the tarball and use it from an empty directory
	tools/build.sh $(CURDIR)

bench: venv engine ## Measure the cluster of the demo: tasks a second, failovers, runs of the playbook
	tools/bench.sh

screenshot: venv ## Take the pictures of the overview page from the running demo
	tools/screenshot.sh .demo monitor-1

venv: ## Make .venv with the locked tools
	@tools/make_venv.sh

engine: ## Install and start the Docker engine if none answers
	@tools/start_engine.sh

image: engine ## Build the images of the test hosts
	molecule/lab/image/build.sh bookworm
	molecule/lab/image/build.sh trixie

lock: venv ## Write all locks anew: of the checkout, of the tools that roles install, of the example
	for name in dev importer uv; do \
	  uv pip compile --quiet --upgrade --python-version 3.11 --universal --generate-hashes --no-header \
	    --output-file requirements/$$name.txt requirements/$$name.in; \
	done
	python tools/locks.py

.venv/bin/promtool: tools/make_promtool.sh | venv
	$<

.venv-importer: requirements/importer.txt | venv
	uv venv --quiet --clear --python .venv/bin/python $@
	VIRTUAL_ENV=$(CURDIR)/$@ uv pip install --quiet --system-certs --require-hashes -r $<
