"""The platform's processes: supervisor, server, front door."""
