"""Load over many models: which model is asked when, what came of it, and how it is shown."""
