# Everything that a person does in a checkout. `make help` lists it.
.DEFAULT_GOAL := help
.PHONY: help venv engine image demo demo-down

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: ## Make .venv with the locked tools (nothing to do when it is there)
	@tools/make_venv.sh

engine: ## Install and start the Docker engine if none answers
	@tools/start_engine.sh

image: engine ## Build the image of the test hosts
	@molecule/lab/image/build.sh bookworm
	@molecule/lab/image/build.sh trixie

lock: venv ## Write the locks in requirements/ anew
	@for name in dev importer uv; do \
	  .venv/bin/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes --no-header \
	    --output-file requirements/$$name.txt requirements/$$name.in; done
