"""IAM policies of least privilege, made from what the code calls. Pure."""
