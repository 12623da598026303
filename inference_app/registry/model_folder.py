"""What there is to fetch of a model of any MLflow flavour: its whole folder, every file by its promised SHA-256."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from inference_app.registry.cache import Incoming
from inference_app.registry.layout import MLMODEL_FILE, SIDE_FILE_BYTES, SUMS_FILE
from inference_app.registry.mlflow import Artifacts
from inference_app.registry.target import BrokenModelError, Target

_TAG = "sha256sums"
_FOLDER = "model"  # in the cache, whose own notes lie beside it
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")


class ModelFolder:
    """The files that `SHA256SUMS` lists, which is itself promised by the tag `sha256sums`; see `Content`.

    The list has the format of the command `sha256sum`, with paths from the folder it lies in (GNU coreutils manual,
    "md5sum invocation"). A file that it does not list is not fetched.
    """

    def file(self, tags: Mapping[str, str]) -> str:
        """The list, at its place in the cache; see `Content.file`."""
        del tags
        return f"{_FOLDER}/{SUMS_FILE}"

    def tag(self, file: str) -> str:
        """The list's tag; see `Content.tag`."""
        del file
        return _TAG

    def download(self, target: Target, artifacts: Artifacts, into: Incoming) -> None:
        """Fetch the list and all that it lists; see `Content.download`."""
        size = artifacts.sizes().get(SUMS_FILE)
        if size is None:
            raise BrokenModelError(f"MLflow has no {SUMS_FILE} at {target.source}")
        if size > SIDE_FILE_BYTES:
            raise BrokenModelError(f"its {SUMS_FILE} is larger than {SIDE_FILE_BYTES} bytes")
        sha256 = artifacts.receive(SUMS_FILE, into, target.file)
        if sha256 != target.sha256:
            raise BrokenModelError(f"its {SUMS_FILE} has SHA-256 {sha256}, its tag {_TAG!r} promises {target.sha256}")
        for path, promised in parse_sums((into.folder / target.file).read_bytes()).items():
            got = artifacts.receive(path, into, f"{_FOLDER}/{path}")
            if got != promised:
                raise BrokenModelError(f"its {path} has SHA-256 {got}, its {SUMS_FILE} promises {promised}")


def parse_sums(content: bytes) -> dict[str, str]:
    """SHA-256 in hexadecimal by path, of a model folder's list.

    Raises:
        BrokenModelError: a line makes no sense or leads out of the folder, or the folder is no MLflow model.
    """
    sums: dict[str, str] = {}
    for number, line in enumerate(content.decode(errors="replace").splitlines(), start=1):
        found = _LINE.fullmatch(line)
        if found is None or not _stays_inside(found[2]) or found[2] in sums:
            raise BrokenModelError(f"its {SUMS_FILE} is wrong in line {number}: {line[:200]!r}")
        sums[found[2]] = found[1]
    if MLMODEL_FILE not in sums:
        raise BrokenModelError(f"its {SUMS_FILE} lists no {MLMODEL_FILE}")
    return sums


def _stays_inside(path: str) -> bool:
    """Whether this is a plain path downwards, and not the list's own."""
    parts = PurePosixPath(path)
    is_plain = path == str(parts) and not parts.is_absolute() and ".." not in parts.parts and "\0" not in path
    return is_plain and path not in {".", SUMS_FILE}
