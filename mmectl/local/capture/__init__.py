"""Data capture of the embedded platform: requests and answers as JSON Lines in a bucket."""
