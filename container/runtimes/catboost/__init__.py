"""CatBoost: boosted trees in its binary format."""
