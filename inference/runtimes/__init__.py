"""What runs the graph: ONNX Runtime."""
