# make demo   sets everything up and plays the main story on the embedded platform
# make test   sets everything up and passes the tests
.PHONY: demo test setup lint bench docs clean

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

docs: setup
	$(VENV)/bin/python scripts/docs.py

clean:
	-@$(MMECTL) local down 2>/dev/null
	rm -rf $(VENV) .mmectl
