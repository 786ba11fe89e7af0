"""The plan of a deploy as a Terraform configuration or a CloudFormation template."""
