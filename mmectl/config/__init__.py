"""config.yaml: its sections, what may stand there, and how it is read."""
