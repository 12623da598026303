"""Models in a folder of this machine, or of one that is mounted here; loaded where they lie."""

from os import scandir, stat_result
from pathlib import Path
from typing import NamedTuple

from inference_app.registry.cache import file_sha256
from inference_app.registry.layout import Choice
from inference_app.registry.source import IsCancelled
from inference_app.registry.target import NoSuchModelError, SourceUnavailableError, Target, Wanted


class _Stamp(NamedTuple):
    """What changes when a file does, short of its content."""

    inode: int
    size: int
    changed: int

    @classmethod
    def of(cls, status: stat_result) -> "_Stamp":
        return cls(status.st_ino, status.st_size, status.st_mtime_ns)


class DirectorySource:
    """The versions in a folder, `<version>/model.onnx`; a folder with a `model.onnx` of its own has version 1.

    A file whose size or time changes is hashed again; where its SHA-256 has changed too, it is another target. To put
    a version there at once, rename a complete folder into place.

    Args:
        name: The name it is served under.
        folder: The folder.
        choice: What to serve of what is there.
    """

    def __init__(self, name: str, folder: Path, choice: Choice) -> None:
        self._name = name
        self._root = folder
        self._choice = choice
        self._known: dict[Path, tuple[_Stamp, str]] = {}

    def close(self) -> None:
        """Nothing is open."""

    def resolve(self) -> Wanted:
        """The versions that the policy picks of those that are there; see `Source.resolve`."""
        try:
            files = self._choice.pick(_paths(self._root))
            targets = [self._target(version, self._root / path) for version, path in files.items()]
        except OSError as error:
            raise SourceUnavailableError(f"{self._root} cannot be read: {error}") from error
        if not targets:
            raise NoSuchModelError(f"{self._root} has no <version>/model.onnx that is to be served")
        missing = tuple(version for version in self._choice.specific if version not in files)
        return Wanted(targets[0], tuple(targets[1:]), missing)

    def at_hand(self, target: Target) -> Path | None:
        """The file where it lies, if it still is what was found there; see `Source.at_hand`."""
        file = Path(target.source)
        if file.is_relative_to(self._root) and file.is_file() and file_sha256(file) == target.sha256:
            return file
        return None

    def fetch(self, target: Target, is_cancelled: IsCancelled) -> Path:
        """There is nowhere to fetch from: a file that is not at hand has changed since it was found."""
        del is_cancelled
        raise SourceUnavailableError(f"{target.source} is being written")

    def _target(self, version: str, file: Path) -> Target:
        stamp = _Stamp.of(file.stat())
        known, sha256 = self._known.get(file, (None, ""))
        if stamp != known:
            sha256 = file_sha256(file)
            if _Stamp.of(file.stat()) != stamp:
                raise SourceUnavailableError(f"{file} is being written")
            self._known[file] = stamp, sha256
        return Target(self._name, version, str(file), sha256, file=file.name)


def _paths(root: Path) -> list[str]:
    """Files below a folder, and below its folders that may be versions, as paths from it."""
    paths: list[str] = []
    with scandir(root) as entries:
        for entry in entries:
            if entry.is_file():
                paths.append(entry.name)
            elif entry.is_dir() and entry.name.isdecimal():
                with scandir(entry.path) as inner:
                    paths += [f"{entry.name}/{file.name}" for file in inner if file.is_file()]
    return paths
