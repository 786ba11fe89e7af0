"""mmectl: many machine-learning models behind one AWS SageMaker endpoint."""

__version__ = "0.2.0"
