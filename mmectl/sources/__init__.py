"""Where a model's folder comes from."""
