# Thin names for what the scripts do; nothing is decided here.
.DEFAULT_GOAL := help
.PHONY: help demo run test check lock audit sbom wheel release bench bench-pages overload pictures shift chaos upgrade rehearsal waiting flood long migrations hunt soak calendar simulate

help: ## show this
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

demo: ## set up, place a real call to 111 and show what came of it
	@scripts/demo

run: ## set up, start everything on this machine and keep it running (Ctrl-C stops it)
	@scripts/setup
	@exec .venv/bin/callcenter up

test: ## set up, check and test, as CI does
	@scripts/test

check: ## lint, formats, types and imports only
	@scripts/setup tests
	@scripts/check

COMPILE = scripts/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

# The one to run keeps to the versions of the one to develop.
lock: ## resolve the dependencies anew into the two locks: to develop, to run
	@scripts/setup
	$(COMPILE) --extra dev pyproject.toml -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock pyproject.toml -o requirements.lock

audit: ## ask for known holes of what runs, and how old the private Asterisk is (the last line says whether all was asked)
	@scripts/setup tests
	@.venv/bin/python -m tests.supply_audit

sbom: ## write what the product is made of into dist/, as CycloneDX
	@scripts/setup tests
	@.venv/bin/python -m tests.sbom

wheel: ## make the wheel of the product in dist/
	@scripts/setup
	@scripts/wheel

release: ## make a release in dist/: wheel, lock, bill of materials, documents, hashes for the owner to sign
	@scripts/setup tests
	@scripts/release

ROUNDS ?= 3

bench: ## measure ours against a plain dialplan, in turn (ROUNDS=1: 4 minutes, ROUNDS=3: 15)
	@scripts/setup tests
	@.venv/bin/python -m tests.bench compare --rounds $(ROUNDS)

bench-pages: ## measure what open pages cost, and what a consultant waits for after an offer or a key (6 minutes)
	@scripts/setup tests
	@.venv/bin/python -m tests.bench pages
	@.venv/bin/python -m tests.bench interactions

shift: ## work ten calls of ten kinds in a browser, and count clicks, keys and changes of the page (2 minutes)
	@scripts/setup tests
	@.venv/bin/python -m pytest tests/browser/test_shift.py -n 0 -s

overload: ## measure ours and plain at and past the rate that plain carries, and beside busy loops (40 minutes)
	@scripts/setup tests
	@.venv/bin/python -m tests.bench overload-curve

CONVERSATIONS ?= 30
chaos: ## inject every fault under so many conversations and show what came of it (10 minutes)
	@scripts/setup tests
	@.venv/bin/python -m tests.chaos --conversations $(CONVERSATIONS)

upgrade: ## replace the version of a commit by this one under load, and back (FROM=COMMIT, 2 minutes)
	@scripts/setup tests
	@.venv/bin/python -m pytest tests/calls/test_upgrade.py --upgrade-from $(or $(FROM),$(error say from which version: make upgrade FROM=COMMIT))

pictures: ## take the pictures of the guides anew from the pages (1 minute)
	@scripts/setup tests
	@.venv/bin/python -m pytest tests/browser/test_guide_pictures.py --guide-pictures -n 0

METHOD ?= dump
rehearsal: ## lose a site with real calls, restore it from a backup, and check what came back (2 minutes; METHOD=continuous: 3; INSTALLED=1: from the wheel, by the page alone)
	@scripts/setup tests
	@.venv/bin/python -m tests.rehearsal --method $(METHOD) $(if $(filter 1,$(INSTALLED)),--installed)

waiting: ## let 300 callers wait at Debian's limits of open files (2 minutes)
	@scripts/setup tests
	@.venv/bin/python -m pytest tests/launcher/test_open_files.py --long

flood: ## let a stranger send 10 000 REGISTER a second for a minute while calls go on
	@scripts/setup tests
	@.venv/bin/python -m pytest tests/calls/test_flood.py --long -n 0 -s

migrations: ## migrate a million appeals while calls are written, and say who waits (2 minutes)
	@scripts/setup tests
	@.venv/bin/python -m pytest tests/migrations/test_waits.py --long -n 0 -s

N ?= 5
hunt: ## repeat tests with new seeds beside two busy loops, to find races (T="tests/calls/test_storm.py" N=50)
	@scripts/setup tests
	@.venv/bin/python -m tests.gate.hunt --times $(N) $(or $(T),$(error say which tests: make hunt T=tests/... N=50))

MINUTES ?= 60
soak: ## run all tests with one fresh seed after the other and keep what fails in docs/testing/soak.md (MINUTES=60)
	@scripts/setup tests
	@.venv/bin/python -m tests.gate.soak --minutes $(MINUTES)

calendar: ## run what computes with the clock at awkward hours and days (an hour), and keep what fails in docs/testing/soak.md
	@scripts/setup tests
	@.venv/bin/python -m tests.gate.calendar

SEEDS ?= 300
START ?= 0

simulate: ## run the controllers' cluster in virtual time, with faults from each seed (SEEDS=10000: 20 minutes; START=4711; KIND=all: each as often as the others)
	@scripts/setup tests
	@.venv/bin/python -m tests.simulation --seeds $(SEEDS) --start $(START) $(if $(KIND),--kind "$(KIND)")

STORMS ?= 5

long: ## floods, soaks and big tables of the tests at their full length (STORMS=5: 10 minutes)
	@scripts/setup tests
	@.venv/bin/python -m pytest --long --storms $(STORMS)
