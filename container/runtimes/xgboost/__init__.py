"""XGBoost: boosted trees in UBJ, JSON or a pickled Booster."""
