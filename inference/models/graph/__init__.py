"""The decoder as one ONNX graph, its attention and its matrices in the form that is asked for."""
