# Every command a developer needs. `make help` lists them.
VENV := .venv
PYTHON := $(VENV)/bin/python
STAMP := $(VENV)/.dev-$(shell (sha256sum requirements-dev.txt 2>/dev/null || shasum -a 256 requirements-dev.txt) | cut -c1-16)
PYTEST := $(PYTHON) -m pytest

.DEFAULT_GOAL := help
.PHONY: help setup run demo stop worker test check test-full test-browser test-real test-deep messages migrations requirements bench bench-gateway clean secrets

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

$(STAMP): requirements-dev.txt
	@test -x $(PYTHON) || python3 -m venv $(VENV) || uv venv --seed $(VENV) || virtualenv $(VENV)
	$(PYTHON) -m pip install -q --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-dev.txt
	@rm -f $(VENV)/.dev-*; touch $(STAMP)

check: setup ## Linters, types, import contracts, Django's own checks
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy .
	$(VENV)/bin/lint-imports
	$(PYTHON) -m djlint templates --lint --quiet
	$(PYTHON) -m tests.commands check
	$(PYTHON) -m tests.commands makemigrations --check --dry-run

test: check ## Linters and every test that needs no extra server
	$(PYTEST)

test-full: setup ## The PostgreSQL and Redis leg; needs DATABASE_URL and REDIS_URL
	$(PYTEST) -m "not browser and not real and not deep"

test-browser: setup ## Pages in a real browser; needs Chromium
	$(PYTEST) -m "browser and not deep" -s

test-real: setup ## Against real foreign runtimes
	$(PYTEST) -m "real"

test-deep: setup ## Long series, run by hand
	$(PYTEST) -m "deep" -s

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

bench-gateway: setup ## What the gateway adds to a request
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
