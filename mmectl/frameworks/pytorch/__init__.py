"""PyTorch: TorchScript, exported programs, and pickled modules where they may be code."""
