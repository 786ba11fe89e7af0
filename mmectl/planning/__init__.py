"""The parts of a plan: what exists, what is to change, what an endpoint's removal takes."""
