"""CloudWatch Logs over the plain files that instances write."""
