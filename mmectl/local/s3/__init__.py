"""A disk-backed subset of S3: the store, and its HTTP protocol."""
