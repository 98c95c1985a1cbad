"""A component as a TFLite or ONNX file."""
