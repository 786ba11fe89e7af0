"""CatBoost's models: what is in a file, without CatBoost."""
