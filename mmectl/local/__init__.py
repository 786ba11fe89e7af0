"""The embedded platform: SageMaker, S3 and friends on 127.0.0.1, serving real models."""
