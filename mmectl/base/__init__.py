"""What everything stands on: errors, values, files, downloads, instance types."""
