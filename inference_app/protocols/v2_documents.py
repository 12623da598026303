"""The documents of V2 that tell of the server and its models, as REST writes them and gRPC fills its messages.

Source: Open Inference Protocol, "Server Metadata", "Model Metadata"; `labels` is this server's own addition.
"""

from collections.abc import Sequence
from typing import Any

from inference_app.model import ModelSlot, ServedModel, TensorSpec

EXTENSIONS = ("binary_tensor_data", "model_repository")
PLATFORM = "onnxruntime_onnx"


def server_metadata(name: str, version: str) -> dict[str, Any]:
    """The server's name, version and extensions."""
    return {"name": name, "version": version, "extensions": list(EXTENSIONS)}


def model_metadata(served: ServedModel, versions: Sequence[str]) -> dict[str, Any]:
    """A model's tensors; `versions` are all that are served under its name."""
    signature = served.model.signature
    return {
        "name": served.name,
        "versions": list(versions),
        "platform": PLATFORM,
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
    }


def repository_index(slots: Sequence[ModelSlot], *, ready_only: bool = False) -> list[dict[str, str]]:
    """One entry for each served version, and one for each model without (Triton, "Model Repository Extension")."""
    entries: list[dict[str, str]] = []
    for slot in slots:
        entries += [
            {"name": slot.name, "version": served.version, "state": "READY", "reason": ""} for served in slot.versions
        ]
        if not slot.versions and not ready_only:
            reason = slot.not_ready_because or ""
            entries.append({"name": slot.name, "version": "", "state": "UNAVAILABLE", "reason": reason})
    return entries


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": spec.name,
        "datatype": spec.datatype.value,
        "shape": [-1 if size is None else size for size in spec.shape],
    }
    if spec.labels:
        document["parameters"] = {"labels": list(spec.labels)}
    return document
