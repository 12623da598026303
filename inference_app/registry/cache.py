"""Verified models on disk, so that a server starts without its registry."""

import contextlib
import errno
import hashlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, TypeAdapter, ValidationError

from inference_app.registry.target import Target

_log = logging.getLogger(__name__)
_MANIFEST = "manifest.json"
_LAST_GOOD = "last-good.json"
_INCOMING = ".incoming-"
_PLACES = "[0-9]*-*/"
_TARGET = TypeAdapter(Target)
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class _Manifest(BaseModel):
    """What lies in a folder: SHA-256 by file name."""

    files: dict[str, str]


class ModelCache:
    """Folders `root/<model>/<version>-<start of SHA-256>/` of a model's files and a manifest; notes of what was good.

    Whatever is visible under its final name is complete: it was written beside it, synced, then renamed. The content is
    still verified at each use, for neither disks nor hands are to be trusted.

    All models share the limit. What was used least recently goes first; what is held, and the last good version of
    each model, stays. May be used by many threads, but only by one for each model.

    Args:
        root: The cache folder; made if absent.
        limit: Bytes that all files in it may take.
        names: The models that are served; of others nothing is held.

    Raises:
        OSError: the folder cannot be made.
    """

    def __init__(self, root: Path, limit: int, names: Collection[str]) -> None:
        self._root = root
        self._limit = limit
        self._names = frozenset(names)
        self._held: dict[str, frozenset[str]] = {}
        self._lock = threading.RLock()
        for name in self._names:
            (root / name).mkdir(parents=True, exist_ok=True)
        for leftover in root.glob(f"*/{_INCOMING}*"):
            shutil.rmtree(leftover, ignore_errors=True)
        self._used = _size(root)

    def hold(self, name: str, targets: Iterable[Target]) -> None:
        """Keep these targets of a model, and no others but its last good one, from being evicted."""
        with self._lock:
            self._held[name] = frozenset(target.key for target in targets)

    def find(self, target: Target) -> Path | None:
        """The model file of a target, if all of its files lie here whole; a damaged copy is removed.

        Raises:
            OSError: the disk cannot be read.
        """
        place = self._place(target)
        if not os.path.lexists(place):
            return None
        if not _is_whole(place, target):
            _log.error("the cached copy of %s version %s is damaged; it is removed", target.name, target.version)
            self.discard(target)
            return None
        os.utime(place)
        return place / target.file

    @contextmanager
    def incoming(self, name: str) -> Generator["Incoming"]:
        """A place to download a model's files to; what is not kept is removed.

        Raises:
            OSError: the disk does not take a folder more.
        """
        folder = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self._root / name))
        try:
            yield Incoming(folder, self._reserve)
        except OSError as error:
            if error.errno in _DISK_FULL:
                # The disk holds less than the limit says: with every failure a little more is given back.
                self._evict(1)
            raise
        finally:
            self._remove(folder)

    def keep(self, incoming: "Incoming", target: Target) -> Path:
        """Make a verified download durable and visible; returns the model file's path.

        Raises:
            OSError: the disk does not take it.
        """
        _write_durably(incoming.folder / _MANIFEST, _Manifest(files=dict(incoming.files)).model_dump_json().encode())
        _sync_folder(incoming.folder)
        place = self._place(target)
        incoming.folder.rename(place)
        _sync_folder(place.parent)
        return place / target.file

    def discard(self, target: Target) -> None:
        """Forget a target's files."""
        if os.path.lexists(self._place(target)):
            self._remove(self._place(target))

    def remember_good(self, target: Target) -> None:
        """Note that a target has loaded and answered.

        Raises:
            OSError: the disk does not take the note.
        """
        folder = self._root / target.name
        with self.incoming(target.name) as incoming:
            _write_durably(incoming.folder / _LAST_GOOD, _TARGET.dump_json(target))
            if (folder / _LAST_GOOD).is_dir():  # never by us; nothing could take its place
                self._remove(folder / _LAST_GOOD)
            (incoming.folder / _LAST_GOOD).replace(folder / _LAST_GOOD)
        _sync_folder(folder)

    def last_good(self, name: str) -> Target | None:
        """The target of a model last remembered as good; None if there is none. `find` says whether it is whole."""
        try:
            return _TARGET.validate_json((self._root / name / _LAST_GOOD).read_bytes())
        except (OSError, ValidationError):
            return None

    def _place(self, target: Target) -> Path:
        return self._root / target.name / target.key

    def _reserve(self, size: int) -> None:
        """Take bytes of the limit, at the cost of what was used least recently.

        Raises:
            OSError: nothing more can be evicted.
        """
        with self._lock:
            excess = self._used + size - self._limit
            if excess > 0:
                self._evict(excess)
            if self._used + size > self._limit:
                raise OSError(errno.EDQUOT, f"the cache may take {self._limit} bytes, and all that is in it is in use")
            self._used += size

    def _evict(self, size: int) -> None:
        with self._lock:
            enough = self._used - size
            for place in self._evictable():
                if self._used <= enough:
                    return
                _log.info("the cache is full: %s of %s, used least recently, is removed", place.name, place.parent.name)
                self._remove(place)

    def _evictable(self) -> list[Path]:
        kept = {(name, key) for name, keys in self._held.items() for key in keys}
        kept |= {(good.name, good.key) for name in self._names if (good := self.last_good(name))}
        places = (place for place in self._root.glob(f"*/{_PLACES}") if (place.parent.name, place.name) not in kept)
        return sorted(places, key=lambda place: place.stat().st_mtime_ns)

    def _remove(self, folder: Path) -> None:
        """Remove a folder as a whole: half of one is never seen under its name."""
        with self._lock:
            if not folder.name.startswith(_INCOMING) and os.path.lexists(folder):
                folder = folder.rename(folder.with_name(f"{_INCOMING}{folder.name}"))
            if folder.is_dir() and not folder.is_symlink():
                shutil.rmtree(folder, ignore_errors=True)
            else:  # something that was put in its place
                folder.unlink(missing_ok=True)
            self._used = _size(self._root)


class Incoming:
    """A download on its way into the cache.

    Args:
        folder: A folder of its own.
        reserve: Asked for room before so many bytes are written; raises OSError where there is none.
    """

    def __init__(self, folder: Path, reserve: Callable[[int], None]) -> None:
        self.folder = folder
        self._files: dict[str, str] = {}
        self._reserve = reserve

    @property
    def files(self) -> Mapping[str, str]:
        """SHA-256 in hexadecimal of each file received, by name."""
        return self._files

    def receive(self, name: str, chunks: Iterable[bytes]) -> str:
        """Write a file, its name maybe a path downwards, and sync it; returns its SHA-256 in hexadecimal.

        Raises:
            OSError: the disk is full, or the cache is and nothing in it can go.
        """
        digest = hashlib.sha256()
        place = self.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("wb") as file:
            for chunk in chunks:
                self._reserve(len(chunk))
                digest.update(chunk)
                file.write(chunk)
            _sync(file)
        self._files[name] = digest.hexdigest()
        return self._files[name]


def file_sha256(file: Path) -> str:
    """The SHA-256 of a file in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _is_whole(place: Path, target: Target) -> bool:
    try:
        files = _Manifest.model_validate_json((place / _MANIFEST).read_bytes()).files
        intact = all(file_sha256(place / name) == sha256 for name, sha256 in files.items())
        # A model in Python would import what lies in its folder, whoever put it there.
        alone = {str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir()} == {_MANIFEST, *files}
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, ValidationError):
        return False
    return intact and alone and target.file in files and target.sha256 in (None, files[target.file])


def _size(folder: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += (Path(parent) / name).lstat().st_size
    return total


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
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
