# make demo   sets everything up and plays the main story on the embedded platform
# make test   sets everything up and passes the tests
.PHONY: demo test setup lint bench soak fuzz docs clean

VENV := .venv
MMECTL := $(VENV)/bin/mmectl

demo: setup
	@PATH="$(CURDIR)/$(VENV)/bin:$$PATH" scripts/demo.sh

test: setup lint
	$(VENV)/bin/python -m pytest tests

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml scripts/setup.sh
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

docs: setup
	$(VENV)/bin/python scripts/docs.py

clean:
	-@$(MMECTL) local down 2>/dev/null
	rm -rf $(VENV) .mmectl
