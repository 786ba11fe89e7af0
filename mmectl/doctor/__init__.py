"""Checks of an account, a configuration and what was uploaded: one file a check."""
