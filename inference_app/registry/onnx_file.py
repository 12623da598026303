"""What there is to fetch of an ONNX model: its file, and what lies beside it to check it against."""

from collections.abc import Mapping

from inference_app.registry.cache import Incoming
from inference_app.registry.layout import MODEL_FILE, SIDE_FILE_BYTES, beside, variant_file
from inference_app.registry.mlflow import Artifacts
from inference_app.registry.target import BrokenModelError, Target


class OnnxFile:
    """`model.onnx`, promised by the tag `sha256`, or a variant of it; see `Content`.

    Args:
        variant: The variant to serve where the version has a tag `sha256.<variant>`; empty for none.
    """

    def __init__(self, variant: str = "") -> None:
        self._variant = variant

    def file(self, tags: Mapping[str, str]) -> str:
        """The variant's file if it is promised, else the model's; see `Content.file`."""
        return variant_file(self._variant if f"sha256.{self._variant}" in tags else "")

    def tag(self, file: str) -> str:
        """The tag of that file; see `Content.tag`."""
        return "sha256" if file == MODEL_FILE else f"sha256.{self._variant}"

    def download(self, target: Target, artifacts: Artifacts, into: Incoming) -> None:
        """Fetch the file and what is beside it; see `Content.download`."""
        sizes = artifacts.sizes()
        if target.file not in sizes:
            raise BrokenModelError(f"MLflow has no {target.file} at {target.source}")
        for name in beside(target.file):
            if sizes.get(name, SIDE_FILE_BYTES + 1) <= SIDE_FILE_BYTES:
                artifacts.receive(name, into, name)
            elif name in sizes:
                raise BrokenModelError(f"its {name} is larger than {SIDE_FILE_BYTES} bytes")
        sha256 = artifacts.receive(target.file, into, target.file)
        if sha256 != target.sha256:
            raise BrokenModelError(
                f"its {target.file} has SHA-256 {sha256}, its tag {self.tag(target.file)!r} promises {target.sha256}"
            )
