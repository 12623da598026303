"""A model baked into the image: an immutable unit, verified and loaded before the server starts, never looked at again.

Beside the model file lies `manifest.json`: {"version": "7", "sha256": "<64 hexadecimal digits>"}.
"""

import logging
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from inference_app.model import ModelSlot, ServedModel
from inference_app.registry.admission import Load, LoadObserver, admit
from inference_app.registry.cache import file_sha256
from inference_app.registry.layout import MODEL_FILE, variant_file
from inference_app.registry.target import BrokenImageError, BrokenModelError

_log = logging.getLogger(__name__)
_MANIFEST = "manifest.json"


class _Manifest(BaseModel):
    version: str = Field(pattern=r"^[0-9]{1,18}$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


def serve_image(folder: Path, slot: ModelSlot, *, load: Load, observer: LoadObserver, variant: str = "") -> None:
    """Load a baked-in model and serve it.

    Args:
        folder: Where it lies.
        slot: What it is served in.
        load: Makes a warmed-up model of a file, or raises.
        observer: Told of the outcome.
        variant: The variant to serve: `model.<variant>.onnx`, promised by `manifest.<variant>.json`. Where there is no
            such manifest, `model.onnx` is served.

    Raises:
        BrokenImageError: a file is missing, not what its manifest promises, or does not load; one line.
    """
    chosen = variant if variant and (folder / f"manifest.{variant}.json").is_file() else ""
    manifest_file = folder / (f"manifest.{chosen}.json" if chosen else _MANIFEST)
    file = folder / (variant_file(chosen) if chosen else MODEL_FILE)
    try:
        manifest = _Manifest.model_validate_json(manifest_file.read_bytes())
        _check(file, manifest.sha256)
        model = admit(file, manifest.version, load)
    except ValidationError as error:
        detail = error.errors()[0]
        what = ".".join(map(str, detail["loc"])) or "it"
        raise _failure(slot, f"{manifest_file} is wrong: {what}: {detail['msg']}") from error
    except (OSError, BrokenModelError) as error:
        raise _failure(slot, str(error)) from error
    slot.switch(ServedModel(slot.name, manifest.version, model))
    observer.loaded(slot.name, manifest.version, manifest.sha256)
    _log.info("serving version %s", manifest.version, extra={"model": slot.name, "version": manifest.version})


def _check(file: Path, promised: str) -> None:
    sha256 = file_sha256(file)
    if sha256 != promised:
        raise BrokenModelError(f"{file} has SHA-256 {sha256}, its manifest promises {promised}")


def _failure(slot: ModelSlot, reason: str) -> BrokenImageError:
    return BrokenImageError(f"{slot.name}: the image is broken: " + " ".join(reason.split()))
