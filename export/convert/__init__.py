"""Conversion of a component to a TFLite or ONNX file."""
