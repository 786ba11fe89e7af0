# make demo   sets everything up and plays the main story on the embedded platform
# make test   sets everything up and passes the tests
.PHONY: demo test setup lint bench soak fuzz docs instances clean

VENV := .venv
MMECTL := $(VENV)/bin/mmectl

demo: setup
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/demo.sh

# The tests in three parts; `make --keep-going test` runs all three, also where one found something.
# Tests of one file of SERVERS share a worker (tests/collecting.py); what judges times runs last, alone.
QUICK := $(wildcard tests/unit tests/functional tests/contract)
SERVERS := tests/platform tests/docker tests/docs
WORKERS := 5
.PHONY: test-quick test-servers test-alone
test: test-quick test-servers test-alone

test-quick: setup
	$(VENV)/bin/python -m pytest -n 2 $(QUICK) tests/fuzz

test-servers: setup
	$(VENV)/bin/python -m pytest -n $(WORKERS) --dist loadscope -m "not alone" $(SERVERS)

test-alone: setup
	$(VENV)/bin/python -m pytest -m alone $(SERVERS)

# each says what it found, also where another found something
CHECKS := ruff-check ruff-format mypy imports spelling pages links site
.PHONY: $(CHECKS)
check: $(CHECKS)

ruff-check: setup
	$(VENV)/bin/ruff check .

ruff-format: setup
	$(VENV)/bin/ruff format --check .

mypy: setup
	$(VENV)/bin/mypy

imports: setup
	PYTHONPATH=container $(VENV)/bin/lint-imports --no-cache

spelling: setup
	$(VENV)/bin/codespell

pages: setup
	$(VENV)/bin/python scripts/docs.py --check

# the inner loop: no engines of models, no browser, and one of the fifty seeds of test_bad_day_story.py
BROWSER := tests/functional/test_console_browser.py
quick: setup
	MMECTL_SEEDS="0 1" $(VENV)/bin/python -m pytest -q -n 2 --deselect=$(BROWSER) tests/unit tests/functional

# what the tests of the inner loop run of mmectl/ and container/; shown, not a gate
coverage: setup
	$(VENV)/bin/python -m pytest -q $(QUICK) --cov --cov-report=term:skip-covered

# the versions of the tools that make setup installs
lock: $(VENV)/bin/uv
	$(VENV)/bin/uv pip compile --quiet --universal --python-version 3.10 --no-header \
	  --no-emit-index-url --no-emit-find-links --extra local --extra dev --extra docs --upgrade \
	  pyproject.toml --output-file scripts/constraints.txt

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml scripts/setup.sh scripts/constraints.txt
	@scripts/setup.sh $(VENV)
	@touch $@

bench: setup
	$(VENV)/bin/python -m benchmarks

# clients on more models than fit, then the same under faults; seconds each: make soak SECONDS=60
SECONDS := 300
soak: setup
	$(VENV)/bin/python -m benchmarks.soak $(SECONDS)
	$(VENV)/bin/python -m benchmarks.soak $(SECONDS) --faults

# hostile archives, models, payloads, requests and configuration (tests/fuzz/README.md)
MINUTES := 0
fuzz: setup
	MMECTL_FUZZ_MINUTES=$(MINUTES) $(VENV)/bin/python -m pytest tests/fuzz

# what instance types have, from the moto that is installed
instances: setup
	$(VENV)/bin/python scripts/instances.py

docs: setup
	$(VENV)/bin/python scripts/docs.py

# the site of docs/, into site/; checked: no link leads nowhere, nothing is fetched from elsewhere
.PHONY: pictures
site: setup
	$(VENV)/bin/python scripts/build_site.py

# the terminal pictures of docs/pictures/, from real runs
pictures: setup
	$(VENV)/bin/python scripts/pictures.py

# links between the Markdown files, as GitHub follows them
links: setup
	$(VENV)/bin/python scripts/links.py

clean:
	-@$(MMECTL) local down 2>/dev/null
	rm -rf $(VENV) .mmectl
