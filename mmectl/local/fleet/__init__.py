"""The data plane: instances, what is on them, and the way of a request through them."""
