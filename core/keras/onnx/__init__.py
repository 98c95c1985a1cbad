"""ONNX files as originals: onnxruntime computes their values, and TensorFlow's converters see the same graph."""
