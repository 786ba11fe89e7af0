"""LightGBM's models: what is in a file, without LightGBM."""
