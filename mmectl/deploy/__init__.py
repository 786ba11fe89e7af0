"""Carrying plans out: deploy, wait, destroy."""
