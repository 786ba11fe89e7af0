"""One instance: its processes, folders, model server and models."""
