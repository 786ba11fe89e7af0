"""AWS on a bad day: seeded faults and stale reads in front of the embedded platform's services."""
