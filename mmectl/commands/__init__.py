"""The commands, one module each: options in, a Result out; no logic of their own."""
