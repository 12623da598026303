"""The engine: models in memory, batching, and whose turn it is. Knows no protocol and no registry."""

from inference_app.engine.batcher import BatchObserver
from inference_app.engine.engine import Engine, EngineObserver
from inference_app.engine.onnx_model import SessionSettings
from inference_app.engine.predictor import ServingSettings

__all__ = ["BatchObserver", "Engine", "EngineObserver", "ServingSettings", "SessionSettings"]
