# Every command a developer needs. `make help` lists them.
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.dev-$(shell (sha256sum requirements-dev.txt 2>/dev/null || shasum -a 256 requirements-dev.txt) | cut -c1-16)
PYTEST := $(PYTHON) -m pytest
# Two checks at once, the longest first; all are begun, and one that fails fails them all.
CHECKS := check-types check-imports check-templates check-django check-ruff
# Four files side by side: tests wait more than they compute. The longest files come first
# (tests/conftest.py), so that none of them is left for the end. What fails
# beside three others is run once more alone, and fails if it fails again; both are printed.
RUNS ?= 4
PARALLEL := $(PYTEST) -n $(RUNS) --dist loadfile --no-loadscope-reorder
ALONE := { [ $$? -eq 1 ] && echo "Once more, alone:" && $(PYTEST) --last-failed --last-failed-no-failures none
# What meets neither database nor Redis ran in the first leg, and so did what one page
# says: here the access matrix and the error shapes open every page.
FULL := -m "not browser and not real and not deep and not bare" --ignore=tests/embedded \
	--ignore-glob='tests/house/test_[dft]*' --ignore-glob='tests/*/test_*_page*' \
	--ignore-glob='tests/venom_site/test_downloads*' --ignore=tests/history_app/test_recorder_survives.py
BROWSER := -m "browser and not deep" -s -n 2 --dist loadfile
# A real server waits most of its time for us: two files side by side, each process of
# tests with servers of its own.
REAL := -m real --timeout 900

.DEFAULT_GOAL := help
.PHONY: help setup run demo stop worker test check $(CHECKS) test-full test-browser test-real test-deep messages migrations requirements bench bench-gateway clean secrets

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: ## Start Venom on this machine: http://127.0.0.1:8000
	@python3 manage.py up

demo: setup ## Start Venom beside practice neighbours: no GPU, key or internet needed
	@$(PYTHON) manage.py up --demo

stop: ## Stop what `make run` started
	@python3 manage.py down

worker: ## Run one more worker against the configured broker
	@$(PYTHON) -m celery -A venom_site worker -P threads -c 8 -Q default -l info

setup: $(STAMP) ## Install what developing and testing needs into .venv

# Nothing is compiled ahead: tools and tests import a small part of what is installed.
$(STAMP): requirements-dev.txt
	@test -x $(PYTHON) || python3 -m venv $(VENV) || uv venv --seed $(VENV) || virtualenv $(VENV)
	$(PYTHON) -m pip install -q --disable-pip-version-check --no-compile --require-hashes --only-binary :all: -r requirements-dev.txt
	@rm -f $(VENV)/.dev-*; touch $(STAMP)

check: setup ## Linters, types, import contracts, Django's own checks
	@$(MAKE) --no-print-directory --jobs 2 --keep-going $(CHECKS)

check-types:
	$(PYTHON) -m mypy .
check-imports:
	$(VENV)/bin/lint-imports
check-templates:
	$(PYTHON) -m djlint templates --lint --quiet
# makemigrations runs the system checks itself, before it looks at the tables.
check-django:
	$(PYTHON) -m tests.commands makemigrations --check --dry-run
check-ruff:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

test: check ## Linters and every test that needs no extra server
	$(PARALLEL) || $(ALONE); }

test-full: setup ## The PostgreSQL and Redis leg; needs DATABASE_URL and REDIS_URL
	$(PARALLEL) $(FULL) || $(ALONE) $(FULL); }

test-browser: setup ## Pages in a real browser; needs Chromium
	$(PYTEST) $(BROWSER) || $(ALONE) $(BROWSER) -n 0; }

test-real: setup ## Against real foreign runtimes
	$(PYTEST) $(REAL) -n 2 --dist loadfile || $(ALONE) $(REAL); }

test-deep: setup ## Long series, run by hand
	$(PYTEST) -m "deep" -s --timeout 0

messages: setup ## Collect and compile the texts for translators
	$(PYTHON) -m tests.commands makemessages -l pl -l de --no-location --no-wrap -i .venv -i data -i build -i tests
	$(PYTHON) -m tests.commands compilemessages -i .venv

migrations: setup ## Write migrations for changed tables
	$(PYTHON) -m tests.commands makemigrations

requirements: ## Pin the requirements anew
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements.in -o requirements.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header requirements-dev.in -o requirements-dev.txt

bench: setup ## Start-up, memory, idle cost, event latency
	$(PYTHON) -m bench.house

bench-gateway: setup ## Our gateway beside LiteLLM and the bare upstream
	$(PYTHON) -m bench.gateway

clean: ## Remove caches; never data
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage

secrets: ## Write the secret files of the full deployment, once
	@test ! -e secrets || { echo "secrets/ exists, nothing written"; exit 1; }
	@umask 077; mkdir secrets; python3 -c "import base64, os, pathlib, secrets; \
	s = pathlib.Path('secrets'); p = secrets.token_urlsafe(24); \
	(s/'postgres_password').write_text(p); \
	(s/'database_url').write_text(f'postgres://venom:{p}@postgres:5432/venom'); \
	(s/'secret_key').write_text(secrets.token_urlsafe(50)); \
	(s/'encryption_keys').write_text(base64.urlsafe_b64encode(os.urandom(32)).decode())"
	@chmod 644 secrets/*; echo "secrets/ written; the folder itself is readable by you alone"
