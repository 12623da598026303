"""The inference server: takes a model from MLflow, verifies it, serves it over HTTP and follows its alias.

Three layers meet only in `inference_app.app`: `protocols` (bytes to tensors and back), `engine` (tensors to tensors)
and `registry` (where models come from); `pyfunc` stands in for the engine's runtime where a model is no ONNX file.
`inference_app.model` holds the words they share; `inference_app.http` puts a protocol on a route.
"""

SERVER = "inference-platform"
VERSION = "0.1.0"
