"""The publisher: takes a scikit-learn model to the registry, so that the inference server can verify and serve it.

Export to ONNX, compare with scikit-learn on every row, upload, register with a SHA-256, and only then move the alias.
The API is `model_publisher.publish.publish`; nothing is imported here, for the libraries it needs take seconds.
"""
