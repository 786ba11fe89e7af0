"""The serving environment of the local platform: made by uv, tried before it is used."""
