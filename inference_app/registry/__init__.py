"""The registry, where models come from: resolve, download, verify, cache, switch. Knows no protocol and no engine."""

from inference_app.registry.cache import ModelCache
from inference_app.registry.mlflow import MlflowRegistry
from inference_app.registry.watcher import AliasWatcher, Following

__all__ = ["AliasWatcher", "Following", "MlflowRegistry", "ModelCache"]
