"""What computes: one room or file for each framework."""
