"""Serving models: knows no framework."""
