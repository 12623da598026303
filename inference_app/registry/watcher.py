"""Follows an alias: what it points at is fetched, verified, loaded beside the served model, and only then served."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from inference_app.model import Model, ModelSlot, ServedModel
from inference_app.registry.cache import ModelCache
from inference_app.registry.mlflow import MlflowRegistry
from inference_app.registry.target import BrokenModelError, NoSuchAliasError, RegistryUnavailableError, Target

_log = logging.getLogger(__name__)
_LONGEST_BACKOFF_SECONDS = 60.0


class LoadObserver(Protocol):
    """Who wants to know how loading goes."""

    def loaded(self, name: str, version: str, sha256: str) -> None:
        """This version is served from now on."""
        ...

    def failed(self, name: str, version: str) -> None:
        """This version could not be fetched or loaded."""
        ...


@dataclass(frozen=True, slots=True)
class Following:
    """What to follow: an alias of a registered model, looked at every so many seconds."""

    name: str
    alias: str
    poll_seconds: float


class AliasWatcher:
    """One thread that keeps a slot at what an alias points at.

    A target that cannot work is refused once and remembered until the alias, the version's source or its SHA-256 tag
    changes. A transfer that fails is tried again, with pauses that double up to a minute. Either way the served model
    stays.

    Args:
        following: What to follow.
        registry: Where to ask; closed when the watcher stops.
        cache: Where verified models lie.
        load: Makes a warmed-up model of a file, or raises.
        slot: What to switch.
        observer: Told of every outcome.
    """

    def __init__(  # noqa: PLR0913 - the one place where what a switch involves comes together
        self,
        following: Following,
        *,
        registry: MlflowRegistry,
        cache: ModelCache,
        load: Callable[[Path], Model],
        slot: ModelSlot,
        observer: LoadObserver,
    ) -> None:
        self._following = following
        self._registry = registry
        self._cache = cache
        self._load = load
        self._slot = slot
        self._observer = observer
        self._served: Target | None = None
        self._refused: Target | None = None
        self._pursued: Target | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alias-watcher", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End; a download that is under way is given up. Waits for the thread, at most `timeout` seconds."""
        self._stopping.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        with self._registry:
            while not self._stopping.is_set():
                try:
                    self._look()
                except Exception:
                    # Whatever it was, the next look may do better; a dead watcher would never switch again.
                    _log.exception("looking at the alias failed")
                self._stopping.wait(self._following.poll_seconds)

    def _look(self) -> None:
        try:
            target = self._registry.resolve(self._following.name, self._following.alias)
        except NoSuchAliasError as error:
            # Taken away on purpose, as far as we can tell: no reason to serve something else.
            self._report_trouble(f"no alias {self._following.alias!r} of model {self._following.name!r}: {error}")
            return
        except RegistryUnavailableError as error:
            self._report_trouble(str(error))
            self._fall_back()
            return
        self._report_trouble(None)
        if target not in (self._served, self._refused):
            self._pursue(target)

    def _pursue(self, target: Target) -> None:
        if target != self._pursued:
            self._pursued, self._failures, self._retry_at = target, 0, 0.0
        if time.monotonic() < self._retry_at:
            return
        try:
            self._switch(target, self._cache.find(target) or self._fetch(target))
        except BrokenModelError as error:
            self._refused = target
            self._report_broken(target, error)
            self._fall_back()
        except (RegistryUnavailableError, NoSuchAliasError, OSError) as error:
            self._failures += 1
            pause = min(2.0 ** (self._failures - 1), _LONGEST_BACKOFF_SECONDS)
            self._retry_at = time.monotonic() + pause
            self._slot.explain(f"version {target.version}: {error}")
            self._observer.failed(target.name, target.version)
            _log.warning("fetching version %s failed, next try in %.0f s: %s", target.version, pause, error)
            self._fall_back()

    def _fetch(self, target: Target) -> Path:
        if target.sha256 is None:
            raise BrokenModelError("it has no tag 'sha256' of 64 hexadecimal digits, so its content cannot be verified")
        with self._cache.incoming() as incoming:
            sha256 = self._registry.download(target, incoming.file, self._stopping.is_set)
            if sha256 != target.sha256:
                raise BrokenModelError(
                    f"its model.onnx has SHA-256 {sha256}, its tag 'sha256' promises {target.sha256}"
                )
            return self._cache.keep(incoming, target)

    def _switch(self, target: Target, file: Path) -> None:
        try:
            model = self._load(file)
        except Exception as error:
            # The runtime raises types of its own that share no base; whichever it is, the file does not work.
            raise BrokenModelError(f"it does not load: {type(error).__name__}: {error}") from error
        served = self._slot.current
        if served is not None and served.model.signature.inputs != model.signature.inputs:
            raise BrokenModelError(
                f"it takes {_list(model)}, the served version {served.version} takes {_list(served.model)}"
            )
        self._remember_good(target)
        self._slot.switch(ServedModel(target.name, target.version, model))
        self._served = target
        self._observer.loaded(target.name, target.version, target.sha256 or "")
        _log.info("serving version %s", target.version, extra={"model": target.name, "version": target.version})

    def _remember_good(self, target: Target) -> None:
        """Note it before the first answer: what clients have seen survives a kill at any moment."""
        try:
            self._cache.remember_good(target)
        except OSError as error:
            _log.warning("version %s works, but a restart will not find it: %s", target.version, error)

    def _report_broken(self, target: Target, error: BrokenModelError) -> None:
        self._cache.discard(target)
        self._slot.explain(f"version {target.version} is broken: {error}")
        self._observer.failed(target.name, target.version)
        _log.error(
            "version %s refused: %s", target.version, error, extra={"model": target.name, "version": target.version}
        )

    def _fall_back(self) -> None:
        """With nothing served, serve the last good version from the disk."""
        if self._served is not None or (target := self._cache.last_good()) is None:
            return
        file = self._cache.find(target)
        if file is None:
            return
        try:
            self._switch(target, file)
        except BrokenModelError as error:
            self._report_broken(target, error)

    def _report_trouble(self, trouble: str | None) -> None:
        """Log a change of the registry's state, once."""
        if trouble == self._trouble:
            return
        if trouble is None:
            _log.info("the registry answers again")
        else:
            self._slot.explain(trouble)
            _log.warning("the alias cannot be resolved: %s", trouble)
        self._trouble = trouble


def _list(model: Model) -> str:
    return ", ".join(map(str, model.signature.inputs))
