"""A server of models in folders: no MLflow, no cache, any settings of a model."""

import json
from pathlib import Path

from tests.app.support.processes import eventually
from tests.app.support.server import InferenceServer


def put(folder: Path, content: bytes, version: str = "1") -> None:
    """Put a version there, whole from the first moment."""
    incoming = folder / ".incoming"
    incoming.mkdir(parents=True)
    (incoming / "model.onnx").write_bytes(content)
    incoming.rename(folder / version)


def folder_server(folder: Path, models: dict[str, dict[str, object]], **settings: str) -> InferenceServer:
    """A server of `folder/<name>` for each model, with its settings; ready.

    Args:
        folder: Where the models lie, and everything else that it needs.
        models: The settings of each by name; the first is what `predict` asks.
        settings: As for `InferenceServer`.
    """
    listed = [{"name": name, "source": f"file://{folder / name}", **more} for name, more in models.items()]
    environment = {"INFERENCE_MODEL_NAME": "", "INFERENCE_MODELS": json.dumps(listed), **settings}
    server = InferenceServer(folder, "", next(iter(models)), **environment)
    try:
        eventually(server.is_ready, "all models to be served", 60)
    except BaseException:
        server.process.kill()
        raise
    return server
