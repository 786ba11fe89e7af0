"""The one room that makes AWS clients."""
