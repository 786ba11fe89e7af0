"""What is wrong with settings, kind by kind: each yields (dotted key, what is wrong)."""
