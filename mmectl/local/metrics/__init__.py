"""CloudWatch of the embedded platform: metrics and alarms that survive a restart."""
