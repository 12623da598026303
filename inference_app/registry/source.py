"""What the follower knows of a source, whichever it is, and how a remote one becomes such through the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from inference_app.registry.cache import Incoming, ModelCache
from inference_app.registry.target import Target, Wanted

IsCancelled = Callable[[], bool]


class Source(Protocol):
    """A place that models come from. Used by one thread at a time."""

    def resolve(self) -> Wanted:
        """What it wants served now.

        Raises:
            NoSuchModelError: it answers, and has nothing to serve.
            SourceUnavailableError: it cannot be asked, or its answer makes no sense.
        """
        ...

    def at_hand(self, target: Target) -> Path | None:
        """The model file of a target if it lies on this machine, whole; asks nobody.

        Raises:
            OSError: the disk cannot be read.
        """
        ...

    def fetch(self, target: Target, is_cancelled: IsCancelled) -> Path:
        """Bring a target that is not at hand here; returns its model file, verified.

        Args:
            target: One of those wanted.
            is_cancelled: Asked while a transfer runs; true ends it.

        Raises:
            BrokenModelError: the version has no such file, or it is not what was promised.
            NoSuchModelError: the version is gone.
            SourceUnavailableError: the transfer failed, took too long or was cancelled.
            OSError: the disk does not take it.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Remote(Protocol):
    """A store elsewhere. Used by one thread at a time."""

    def resolve(self) -> Wanted:
        """As `Source.resolve`."""
        ...

    def download(self, target: Target, into: Incoming, is_cancelled: IsCancelled) -> None:
        """Put a target's model file and what is beside it (`layout.beside`) into a folder.

        Raises:
            As `Source.fetch`.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class CachedSource:
    """A remote store whose models are kept on this machine.

    Args:
        remote: The store.
        cache: Where they are kept.
    """

    def __init__(self, remote: Remote, cache: ModelCache) -> None:
        self._remote = remote
        self._cache = cache

    def resolve(self) -> Wanted:
        """What the store wants served now; see `Source.resolve`."""
        return self._remote.resolve()

    def at_hand(self, target: Target) -> Path | None:
        """The cached file; see `Source.at_hand`."""
        return self._cache.find(target)

    def fetch(self, target: Target, is_cancelled: IsCancelled) -> Path:
        """Download into the cache; see `Source.fetch`. Of what fails, nothing is left."""
        with self._cache.incoming(target.name) as incoming:
            self._remote.download(target, incoming, is_cancelled)
            return self._cache.keep(incoming, target)

    def close(self) -> None:
        """Let go of the store's connections."""
        self._remote.close()
