"""The sections of config.yaml as pydantic models: defaults, descriptions, ranges."""
