"""Verified models on disk, so that a server starts without its registry."""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import TypeAdapter, ValidationError

from inference_app.registry.target import Target

_log = logging.getLogger(__name__)
_MODEL_FILE = "model.onnx"
_MANIFEST = "manifest.json"
_LAST_GOOD = "last-good.json"
_INCOMING = ".incoming-"
_KEPT_VERSIONS = 2  # the served one and the one before it, for a quick way back
_TARGET = TypeAdapter(Target)


class ModelCache:
    """Folders `root/<model>/<version>-<start of SHA-256>/` of `model.onnx` and a manifest; a note of the last good one.

    Whatever is visible under its final name is complete: it was written beside it, synced, then renamed. The content is
    still verified at each use, for neither disks nor hands are to be trusted.

    Args:
        root: The cache folder; made if absent.
        model: The registered model's name.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, root: Path, model: str) -> None:
        self._folder = root / model
        self._folder.mkdir(parents=True, exist_ok=True)
        for leftover in self._folder.glob(f"{_INCOMING}*"):
            shutil.rmtree(leftover, ignore_errors=True)

    def find(self, target: Target) -> Path | None:
        """The model file of a target, if it lies here whole; a damaged copy is removed."""
        file = self._place(target) / _MODEL_FILE
        if not file.is_file():
            return None
        if _sha256(file) != target.sha256:
            _log.error("the cached copy of version %s is damaged; it is removed", target.version)
            self.discard(target)
            return None
        return file

    @contextmanager
    def incoming(self) -> Generator["Incoming"]:
        """A place to download to; what is not kept is removed."""
        folder = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self._folder))
        try:
            with (folder / _MODEL_FILE).open("wb") as file:
                yield Incoming(folder, file)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, incoming: "Incoming", target: Target) -> Path:
        """Make a verified download durable and visible; returns the model file's path."""
        _sync(incoming.file)
        _write_durably(incoming.folder / _MANIFEST, target)
        _sync_folder(incoming.folder)
        place = self._place(target)
        incoming.folder.rename(place)
        _sync_folder(self._folder)
        return place / _MODEL_FILE

    def discard(self, target: Target) -> None:
        """Forget a target's files."""
        shutil.rmtree(self._place(target), ignore_errors=True)

    def remember_good(self, target: Target) -> None:
        """Note that a target has loaded and answered; of the others keep only the one used last."""
        with self.incoming() as incoming:
            _write_durably(incoming.folder / _LAST_GOOD, target)
            (incoming.folder / _LAST_GOOD).replace(self._folder / _LAST_GOOD)
        _sync_folder(self._folder)
        self._place(target).touch()
        places = sorted(self._folder.glob("[0-9]*-*/"), key=lambda place: place.stat().st_mtime_ns, reverse=True)
        for place in places[_KEPT_VERSIONS:]:
            shutil.rmtree(place, ignore_errors=True)

    def last_good(self) -> Target | None:
        """The target last remembered as good; None if there is none. `find` says whether its files are whole."""
        try:
            return _TARGET.validate_json((self._folder / _LAST_GOOD).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def _place(self, target: Target) -> Path:
        return self._folder / f"{target.version}-{(target.sha256 or '')[:12]}"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A download on its way into the cache.

    Attributes:
        folder: A folder of its own.
        file: The model file in it, open for writing.
    """

    folder: Path
    file: BinaryIO


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write_durably(path: Path, target: Target) -> None:
    with path.open("wb") as file:
        file.write(_TARGET.dump_json(target))
        _sync(file)


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; POSIX keeps them apart from the files' own content."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
