"""Building the image for AWS: what builds it, checks before the push, and what arrived."""
