"""scikit-learn: estimators and pipelines, as skops files or pickles."""
