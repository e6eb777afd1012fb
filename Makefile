# Thin names for what the scripts do; nothing is decided here.
.DEFAULT_GOAL := help
.PHONY: help demo run test check lock bench chaos

help: ## show this
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

demo: ## set up, place a real call to 111 and show what came of it
	@scripts/demo

run: ## set up, start everything on this machine and keep it running (Ctrl-C stops it)
	@scripts/setup
	@exec .venv/bin/callcenter up

test: ## set up, check and test, as CI does
	@scripts/test

check: ## lint, formats, types and imports only
	@scripts/setup
	@scripts/check

lock: ## resolve the dependencies anew into the locks
	@scripts/setup
	.venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
		--extra dev pyproject.toml -o requirements.lock
	echo uv | .venv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes \
		--no-header - -o requirements-uv.lock

ROUNDS ?= 3

bench: ## measure ours against a plain dialplan, in turn (ROUNDS=1: 4 minutes, ROUNDS=3: 15)
	@scripts/setup
	@.venv/bin/python -m tests.bench compare --rounds $(ROUNDS)

chaos: ## inject every fault under 100 callers and show what came of it (7 minutes; 1 on a loss)
	@scripts/setup tests
	@.venv/bin/python -m tests.chaos
