"""Requests over many models: warming, load, what came of it."""
