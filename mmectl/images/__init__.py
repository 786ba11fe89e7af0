"""Images that serve models: built, checked, pushed; the same environment on this machine."""
