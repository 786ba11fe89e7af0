"""MXNet by its C API."""
