"""Model folders: their files, their checks, and where they come from."""
