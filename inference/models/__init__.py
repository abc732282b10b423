"""Model files in, an ONNX graph and a tokenizer out."""
