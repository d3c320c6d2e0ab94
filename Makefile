# Holdfast's commands.  Each sets up what it needs and may be called again at any time.
# Needed: GNU make, git and Python 3.11 or newer with its venv module.

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help setup report test check fuzz test-all bench torture lock report-check clean
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

VENV := .venv
PYTHON :=
ARGS :=
DATA :=
REFERENCE :=
REPORT :=
MIN := 60
JOBS := 2
RUNS := 1000
EXAMPLES := 20000
VERSIONS := 3.11 3.12 3.13
PORT := 8420
GRPC_PORT := 8421
DB := .holdfast/tck.db
TCK :=
python = $(VENV)/bin/python

help: ## list the commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{printf "%-20s %s\n", $$1, $$2}'

setup: ## make .venv with everything in it (PYTHON=… names the interpreter)
	@.ci/setup "$(VENV)" "$(PYTHON)"

report: setup ## write the sample market report to report/
	$(VENV)/bin/holdfast run "Market research report on the sample market" --data examples/sample/market.csv \
		--out report --yes --db .holdfast/holdfast.db

test: setup ## run the tests, JOBS files side by side (ARGS="-k pause" chooses some)
	$(python) -m pytest -n $(JOBS) --dist loadfile $(ARGS)

check: setup ## lint, format check, types, layers
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(VENV)/bin/lint-imports

fuzz: setup ## send 20,000 requests that are valid, nearly valid and nonsense (EXAMPLES=…)
	HOLDFAST_EXAMPLES=$(EXAMPLES) $(python) -m pytest tests/acceptance/test_serve_fuzz.py -s $(ARGS)

test-all: ## run the tests with each of Python 3.11, 3.12 and 3.13 that is there
	@found=; for version in $(VERSIONS); do \
		if ! "python$$version" -c '' 2>/dev/null; then echo "python$$version is not here"; continue; fi; \
		found=yes; echo "python$$version"; \
		$(MAKE) --no-print-directory test VENV=".venv-$$version" PYTHON="python$$version" || exit 1; \
	done; test -n "$$found" || { echo "none of $(VERSIONS) was found" >&2; exit 1; }

bench: setup ## measure speed
	$(python) -m benchmarks.run $(ARGS)

torture: setup ## kill it, race it and play every move against a model (RUNS=100 is a tenth; ARGS="--seed 1" repeats)
	$(python) -m tests.torture --runs $(RUNS) $(ARGS)

lock: ## resolve requirements.lock anew (needs uv; ARGS=--upgrade takes the newest versions)
	uv pip compile --quiet --no-strip-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra report --extra documents --extra serve --group dev $(ARGS) pyproject.toml -o requirements.lock

report-check: setup ## score reports on the files of DATA=folder against REFERENCE=folder (fails below MIN=60)
	$(python) .ci/report_check.py "$(DATA)" "$(REFERENCE)" "$(MIN)"

tck-server: setup ## serve what A2A's TCK asks for (PORT, GRPC_PORT and DB say where)
	$(python) -m tests.tck.server --port "$(PORT)" --grpc-port "$(GRPC_PORT)" --db "$(DB)"

tck: setup ## run A2A's TCK over all three bindings (TCK=checkout of a2aproject/a2a-tck, branch 1.0-dev)
	$(python) -m tests.tck "$(TCK)"

js-client: setup ## let the JavaScript SDK of A2A talk to a server (needs Node 20 and npm)
	@mkdir -p .holdfast/js
	@cp tests/js/package.json tests/js/client.mjs .holdfast/js/
	npm install --prefix .holdfast/js --silent --no-audit --no-fund --no-package-lock --omit=peer --legacy-peer-deps
	$(python) -m tests.js .holdfast/js

axe: setup ## let axe-core judge reports in headless Chromium (REPORT=report.html…, else the sample's; needs npm)
	@mkdir -p .holdfast/axe
	npm install axe-core@4 --prefix .holdfast/axe --silent --no-audit --no-fund --no-package-lock
	$(python) -m tests.axe .holdfast/axe/node_modules/axe-core/axe.min.js $(REPORT)

clean: ## remove what these commands have made; the database under .holdfast/ stays
	rm -rf .venv .venv-*/ build dist report reports src/*.egg-info benchmarks/out .holdfast/report-check .holdfast/tck .holdfast/js .holdfast/axe .langgraph_api
	rm -rf .mypy_cache .ruff_cache .import_linter_cache .hypothesis .pytest_cache
	find checkpoints graphs nodes src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +
