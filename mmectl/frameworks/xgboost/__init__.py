"""XGBoost's models: what is in a file, without XGBoost."""
