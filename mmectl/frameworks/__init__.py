"""What a model's folder must hold, by framework."""
