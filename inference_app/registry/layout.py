"""Names of files and versions, the same in a folder, in a bucket and among MLflow's artifacts.

`<version>/model.onnx`, versions being decimal numbers, is the layout of TensorFlow Serving's and Triton's repositories.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

MODEL_FILE = "model.onnx"
MLMODEL_FILE = "MLmodel"
SUMS_FILE = "SHA256SUMS"
SIDE_FILE_BYTES = 2**20  # golden cases and signatures, which are parsed as a whole
SHA256 = re.compile(r"[0-9a-f]{64}")
_VARIANT = re.compile(r"model\.(.+)\.onnx")
_VERSION = re.compile(r"[0-9]{1,18}")
_UNVERSIONED = "1"  # the version of a model file that lies in no version's folder


def variant_file(variant: str) -> str:
    """The model file of a variant (`model.int8.onnx`); of no variant, the model file."""
    return f"model.{variant}.onnx" if variant else MODEL_FILE


def golden_file(model_file: str) -> str:
    """The golden cases of a model file: `golden.json`, but `golden.int8.json` of `model.int8.onnx`.

    A variant has its own, for what it answers is not to the last digit what the whole model answers.
    """
    variant = _VARIANT.fullmatch(model_file)
    return f"golden.{variant[1]}.json" if variant else "golden.json"


def beside(model_file: str) -> tuple[str, ...]:
    """The files that may lie beside a model file and are checked against it."""
    return golden_file(model_file), MLMODEL_FILE


@dataclass(frozen=True, slots=True)
class Choice:
    """What to serve of a layout.

    Attributes:
        latest: So many of the highest versions.
        specific: The versions to serve instead of the highest; empty for those.
        variant: The variant to serve where a version has it; empty for none.
    """

    latest: int = 1
    specific: tuple[str, ...] = ()
    variant: str = ""

    def pick(self, paths: Iterable[str]) -> dict[str, str]:
        """The versions to serve, the highest first, and the path of each one's model file.

        Args:
            paths: Every file's path below the layout's root, with "/" between its parts. A root without folders of
                versions that has a model file itself is version 1.
        """
        found = self._find(frozenset(paths))
        picked = [version for version in found if version in self.specific] if self.specific else found
        highest = sorted(picked, key=int, reverse=True)[: None if self.specific else self.latest]
        return {version: found[version] for version in highest}

    def _find(self, paths: frozenset[str]) -> dict[str, str]:
        folders = {path.partition("/")[0] for path in paths if path.count("/") == 1}
        versions = {folder: f"{folder}/" for folder in folders if _VERSION.fullmatch(folder)} or {_UNVERSIONED: ""}
        found: dict[str, str] = {}
        for version, folder in versions.items():
            for file in (variant_file(self.variant), MODEL_FILE):
                if folder + file in paths:
                    found.setdefault(version, folder + file)
        return found
