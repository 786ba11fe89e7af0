"""SageMaker's control plane: requests checked, records kept, endpoints as a state machine."""
