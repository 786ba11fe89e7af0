"""ONNX models: read by this room's own reader, computed by ONNX Runtime."""
