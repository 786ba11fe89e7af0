"""ONNX models: what is in a file, without ONNX or ONNX Runtime."""
