"""MXNet's models: files, networks, checks, the model zoo."""
