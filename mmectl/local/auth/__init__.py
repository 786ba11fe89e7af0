"""Signatures: what a request claims, and whether it is true."""
