"""A follower, or several, in this process: the registry as the server runs it, without the server."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self, cast

import numpy as np

from inference_app.model import Model, Models
from inference_app.registry import Follower, follow
from inference_app.settings import ModelSettings, VersionPolicy
from tests.app.support.plain_model import PlainModel
from tests.app.support.processes import eventually

Answer = list[list[float]]


class Observed:
    """What the observer was told, in order."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []

    def loaded(self, name: str, version: str, sha256: str) -> None:
        del sha256
        self.events.append(("loaded", name, version))

    def added(self, name: str, version: str) -> None:
        self.events.append(("added", name, version))

    def unloaded(self, name: str, version: str) -> None:
        self.events.append(("unloaded", name, version))

    def failed(self, name: str, version: str) -> None:
        self.events.append(("failed", name, version))

    def count(self, event: str, version: str) -> int:
        return sum(1 for kind, _, of in self.events if (kind, of) == (event, version))


def model(
    source: str, name: str = "demo", *, latest: int = 1, specific: tuple[str, ...] = (), variant: str = ""
) -> ModelSettings:
    return ModelSettings(
        name=name, source=source, versions=VersionPolicy(latest=latest, specific=specific), variant=variant
    )


class Following:
    """Followers of some models, from start to stop."""

    def __init__(
        self,
        cache: Path,
        *models: ModelSettings,
        mlflow_url: str | None = None,
        cache_bytes: int = 2**30,
        poll_seconds: float = 0.02,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.observed = Observed()
        self.loads: list[PlainModel] = []
        self.cache = cache
        self.models = Models([each.name for each in models])
        self.followers: list[Follower] = follow(
            models,
            self.models,
            loader=lambda _: self._load,
            observer=self.observed,
            cache_dir=cache,
            cache_bytes=cache_bytes,
            poll_seconds=poll_seconds,
            mlflow_url=mlflow_url,
            environment=environment or {},
        )

    def __enter__(self) -> Self:
        for follower in self.followers:
            follower.start()
        return self

    def __exit__(self, *_: object) -> None:
        for follower in self.followers:
            follower.stop(10)
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("follower-")]

    def _load(self, file: Path, version: str) -> Model:
        del version
        loaded = PlainModel(file)
        loaded.run(
            {spec.name: np.zeros([s or 1 for s in spec.shape], spec.datatype.dtype) for spec in loaded.signature.inputs}
        )
        self.loads.append(loaded)
        return cast("Model", loaded)  # all of it that the registry uses

    @property
    def versions(self) -> list[str]:
        """What the one model serves, the lowest version first."""
        assert self.models.only is not None
        return sorted(each.version for each in self.models.only.versions)

    def default(self, name: str = "demo") -> str | None:
        slot = self.models.slot(name)
        return slot.current.version if slot and slot.current else None

    def reason(self) -> str:
        return self.models.not_ready_because or ""

    def answer(self, name: str = "demo", version: str | None = None) -> Answer:
        served = self.models.find(name, version)
        return served.model.run({"input": np.array([[1, 2, 3]], np.float32)})["output"].tolist()

    def await_default(self, version: str, name: str = "demo") -> None:
        eventually(lambda: self.default(name) == version, f"version {version} of {name} to be served")

    def await_failures(self, version: str, count: int = 1) -> None:
        eventually(lambda: self.observed.count("failed", version) >= count, f"{count} failures of {version}")

    def look(self, condition: Callable[[], bool] = lambda: True) -> None:
        """Have every follower look once, from start to end."""
        for follower in self.followers:
            follower.look_now().result(20)
        assert condition()
