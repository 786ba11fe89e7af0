"""The client's side of the embedded platform: start, find, ask, stop."""
