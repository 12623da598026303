"""The engine: turns a model file into something that runs tensors. Knows nothing of HTTP and nothing of registries."""

from inference_app.engine.onnx_model import OnnxModel

__all__ = ["OnnxModel"]
