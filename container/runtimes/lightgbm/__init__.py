"""LightGBM: boosted trees in its text format."""
