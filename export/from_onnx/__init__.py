"""ONNX files of other frameworks, brought into the one form that the rest of the export reads."""
