"""Multi Model Server: its settings, its home, its processes."""
