"""Application Auto Scaling of endpoint variants: records, policies, schedules, and what they do."""
