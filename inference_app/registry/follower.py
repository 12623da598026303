"""Follows a source: what it wants is fetched, verified, loaded beside what is served, and only then served."""

import logging
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from inference_app.model import Model, ModelSlot, ServedModel
from inference_app.registry.admission import Load, LoadObserver, admit
from inference_app.registry.cache import ModelCache
from inference_app.registry.source import Source
from inference_app.registry.target import (
    BrokenModelError,
    NoSuchModelError,
    SourceUnavailableError,
    Target,
    Wanted,
)

_log = logging.getLogger(__name__)
_LONGEST_BACKOFF_SECONDS = 60.0
_LINGER_SECONDS = 5.0  # a request that has just read the slot is still to hand in its work


@dataclass(slots=True)
class _Retry:
    failures: int = 0
    due: float = 0.0


@dataclass(frozen=True, slots=True)
class _Loaded:
    target: Target
    served: ServedModel


class Follower:
    """One thread that keeps a slot at what a source wants.

    A target that cannot work is refused once and remembered until the source wants another. A transfer that fails is
    tried again, with pauses that double up to a minute. Either way what is served stays. What is replaced stays in
    memory for a while, so that going back takes no load; then it is closed.

    Args:
        source: Where to ask; closed when the follower stops.
        uri: The source as the settings write it.
        slot: What to keep.
        cache: Where the last good version is noted.
        load: Makes a warmed-up model of a file, or raises.
        observer: Told of every outcome.
        poll_seconds: Time between two looks.
        standby: How many of the versions last replaced stay in memory.
    """

    def __init__(  # noqa: PLR0913 - the one place where what a switch involves comes together
        self,
        source: Source,
        uri: str,
        *,
        slot: ModelSlot,
        cache: ModelCache,
        load: Load,
        observer: LoadObserver,
        poll_seconds: float,
        standby: int = 1,
    ) -> None:
        self.uri = uri
        self._source = source
        self._slot = slot
        self._cache = cache
        self._load = load
        self._observer = observer
        self._poll_seconds = poll_seconds
        self._most_standby = standby
        self._default: Target | None = None
        self._loaded: dict[str, _Loaded] = {}
        self._standby: list[_Loaded] = []
        self._lingering: list[tuple[float, _Loaded]] = []
        self._refused: set[Target] = set()
        self._retries: dict[Target, _Retry] = {}
        self._trouble: str | None = None
        self._asked: list[Future[None]] = []
        self._asking = threading.Lock()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"follower-{slot.name}", daemon=True)

    @property
    def name(self) -> str:
        """The model that is followed, by the name it is served under."""
        return self._slot.name

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """End; a download that is under way is given up. Waits for the thread, at most `timeout` seconds."""
        with self._asking:
            self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def look_now(self) -> Future[None]:
        """Look at the source at once, without regard to pauses after failures. May be called by any thread.

        Returns:
            Done once a look that began after this call has ended, whatever came of it; cancelled if the follower stops.
        """
        asked: Future[None] = Future()
        with self._asking:
            if self._stopping.is_set():
                asked.cancel()
                return asked
            self._asked.append(asked)
        self._wake.set()
        return asked

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                asked = self._take_asked()
                if asked:
                    self._retries.clear()
                try:
                    self._look()
                except Exception:
                    # Whatever it was, the next look may do better; a dead follower would never switch again.
                    _log.exception("looking at %s failed", self.uri)
                for each in asked:
                    if each.set_running_or_notify_cancel():
                        each.set_result(None)
                self._close_lingering(time.monotonic())
                self._wake.wait(min(self._poll_seconds, _LINGER_SECONDS) if self._lingering else self._poll_seconds)
        finally:
            self._source.close()
            for aside in self._standby:
                aside.served.model.close()
            self._close_lingering(float("inf"))
            for each in self._take_asked():
                each.cancel()

    def _take_asked(self) -> list[Future[None]]:
        with self._asking:
            asked, self._asked = self._asked, []
        return asked

    def _look(self) -> None:
        try:
            wanted = self._source.resolve()
        except NoSuchModelError as error:
            # Taken away on purpose, as far as we can tell: no reason to serve something else.
            self._report_trouble(str(error))
            return
        except SourceUnavailableError as error:
            self._report_trouble(str(error))
            self._serve_last_good()
            return
        missing = ", ".join(wanted.missing)
        self._report_trouble(f"{self.uri} has no version {missing}" if missing else None)
        self._pursue(wanted)

    def _pursue(self, wanted: Wanted) -> None:
        self._forget_all_but(wanted)
        if not self._have(wanted.default, as_default=True):
            self._serve_last_good()
        for target in wanted.others:
            # With neither the default version nor a last good one, the most wanted of the others has to do.
            self._have(target, as_default=self._default is None)
        self._retire_all_but(wanted)

    def _forget_all_but(self, wanted: Wanted) -> None:
        targets = {*wanted.targets}
        # The last good one's refusal counts even when nobody wants it: it would be tried at every look.
        good = self._cache.last_good(self.name)
        self._refused &= {*targets, *([] if good is None else [good])}
        self._retries = {target: retry for target, retry in self._retries.items() if target in targets}
        self._hold(targets)

    def _hold(self, wanted: set[Target]) -> None:
        """Keep files on disk for as long as their model is in memory: an engine short of memory may read them again."""
        self._cache.hold(self.name, {*wanted, *(entry.target for entry in self._in_memory())})

    def _in_memory(self) -> list[_Loaded]:
        return [*self._loaded.values(), *self._standby, *(entry for _, entry in self._lingering)]

    def _have(self, target: Target, *, as_default: bool) -> bool:
        """Whether a target is served now, as far as it can be done at this time."""
        loaded = self._loaded.get(target.version)
        if loaded is not None and loaded.target == target and (not as_default or self._default == target):
            return True
        retry = self._retries.get(target, _Retry())
        if target in self._refused or time.monotonic() < retry.due:
            return False
        try:
            self._serve(target, as_default=as_default)
        except BrokenModelError as error:
            self._refuse(target, error)
            return False
        except (SourceUnavailableError, NoSuchModelError, OSError) as error:
            self._postpone(target, retry, error)
            return False
        self._retries.pop(target, None)
        return True

    def _serve_last_good(self) -> None:
        """With nothing served, serve the last good version from the disk."""
        if self._default is not None or (target := self._cache.last_good(self.name)) is None:
            return
        if target in self._refused:
            return
        self._hold({target})
        try:
            if self._source.at_hand(target) is not None:
                self._serve(target, as_default=True)
        except BrokenModelError as error:
            self._refuse(target, error)
        except (SourceUnavailableError, NoSuchModelError, OSError) as error:
            _log.warning("the last good version %s cannot be read: %s", target.version, error)

    def _serve(self, target: Target, *, as_default: bool) -> None:
        """Serve a target, or raise as `Source.fetch` does."""
        entry = self._ready(target)
        if as_default:
            try:
                self._check_inputs(entry.served.model)
            except BrokenModelError:
                if self._loaded.get(target.version) is not entry:
                    self._linger(entry)
                raise
            self._remember_good(target)
            self._slot.switch(entry.served)
            self._default = target
            self._observer.loaded(target.name, target.version, target.sha256 or "")
        else:
            self._slot.add(entry.served)
            self._observer.added(target.name, target.version)
        replaced = self._loaded.get(target.version)
        self._loaded[target.version] = entry
        if replaced is not None and replaced is not entry:
            self._set_aside(replaced)
        _log.info("serving version %s", target.version, extra={"model": target.name, "version": target.version})

    def _ready(self, target: Target) -> _Loaded:
        """A target in memory: as it is served already, as it was before it was replaced, or loaded now."""
        loaded = self._loaded.get(target.version)
        if loaded is not None and loaded.target == target:
            return loaded
        for aside in self._standby:
            if aside.target == target:
                self._standby.remove(aside)
                return aside
        file = self._source.at_hand(target) or self._source.fetch(target, self._stopping.is_set)
        return _Loaded(target, ServedModel(target.name, target.version, admit(file, target.version, self._load)))

    def _check_inputs(self, model: Model) -> None:
        """Requests that are right for the served version must be right for the one that replaces it."""
        served = None if self._default is None else self._loaded[self._default.version].served
        if served is not None and served.model.signature.inputs != model.signature.inputs:
            raise BrokenModelError(
                f"it takes {_list(model)}, the served version {served.version} takes {_list(served.model)}"
            )

    def _remember_good(self, target: Target) -> None:
        """Note it before the first answer: what clients have seen survives a kill at any moment."""
        try:
            self._cache.remember_good(target)
        except OSError as error:
            _log.warning("version %s works, but a restart will not find it: %s", target.version, error)

    def _retire_all_but(self, wanted: Wanted) -> None:
        kept = {target.version for target in wanted.targets}
        if self._default is not None:
            kept.add(self._default.version)
        for version in self._loaded.keys() - kept:
            self._slot.retire(version)
            self._set_aside(self._loaded.pop(version))
            self._observer.unloaded(self.name, version)

    def _set_aside(self, entry: _Loaded) -> None:
        self._standby.append(entry)
        self._shrink_standby(self._most_standby)

    def _shrink_standby(self, most: int) -> None:
        while len(self._standby) > most:
            self._linger(self._standby.pop(0))

    def _linger(self, entry: _Loaded) -> None:
        self._lingering.append((time.monotonic() + _LINGER_SECONDS, entry))

    def _close_lingering(self, now: float) -> None:
        for due, entry in self._lingering:
            if due <= now:
                entry.served.model.close()
        self._lingering = [(due, entry) for due, entry in self._lingering if due > now]

    def _refuse(self, target: Target, error: BrokenModelError) -> None:
        self._refused.add(target)
        if all(target != entry.target for entry in self._in_memory()):
            self._cache.discard(target)
        self._slot.explain(f"version {target.version} is broken: {error}")
        self._observer.failed(target.name, target.version)
        _log.error(
            "version %s refused: %s", target.version, error, extra={"model": target.name, "version": target.version}
        )

    def _postpone(self, target: Target, retry: _Retry, error: Exception) -> None:
        if isinstance(error, OSError):
            # For want of disk, perhaps: what stands by takes some of it, and going back may cost a download instead.
            self._shrink_standby(0)
        pause = min(2.0**retry.failures, _LONGEST_BACKOFF_SECONDS)
        self._retries[target] = _Retry(retry.failures + 1, time.monotonic() + pause)
        self._slot.explain(f"version {target.version}: {error}")
        self._observer.failed(target.name, target.version)
        _log.warning(
            "fetching version %s failed, next try in %.0f s: %s",
            target.version,
            pause,
            error,
            extra={"model": target.name, "version": target.version},
        )

    def _report_trouble(self, trouble: str | None) -> None:
        """Log a change of the source's state, once."""
        if trouble == self._trouble:
            return
        if trouble is None:
            _log.info("%s answers again", self.uri, extra={"model": self.name})
        else:
            self._slot.explain(trouble)
            _log.warning("%s cannot be followed: %s", self.uri, trouble, extra={"model": self.name})
        self._trouble = trouble


def _list(model: Model) -> str:
    return ", ".join(map(str, model.signature.inputs))
