"""MLflow's REST API, as much of it as a server needs: resolve an alias, list and stream artifacts.

Source: MLflow REST API 2.0 (`registered-models/alias`, `model-versions/get-download-uri`) and the artifact proxy of a
tracking server started with `--serve-artifacts` (`mlflow-artifacts/artifacts`).
"""

from collections.abc import Mapping
from typing import Protocol, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError

from inference_app.registry.cache import Incoming
from inference_app.registry.layout import SHA256
from inference_app.registry.source import IsCancelled
from inference_app.registry.target import (
    BrokenModelError,
    NoSuchModelError,
    SourceUnavailableError,
    Target,
    Wanted,
)
from inference_app.registry.transfer import DOWNLOAD_TIMEOUT, brief, chunks

_ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds for each step


class _Tag(BaseModel):
    key: str
    value: str = ""


class _ModelVersion(BaseModel):
    version: str = Field(pattern=r"^[0-9]{1,18}$")  # it names a folder in the cache
    source: str = ""
    tags: list[_Tag] = []


class _AliasAnswer(BaseModel):
    model_version: _ModelVersion


class _LocationAnswer(BaseModel):
    artifact_uri: str


class _Artifact(BaseModel):
    path: str
    file_size: int = 0


class _ListAnswer(BaseModel):
    files: list[_Artifact] = []


_Answer = TypeVar("_Answer", bound=BaseModel)


class Artifacts:
    """The artifacts of one model version, as they come through the proxy.

    Args:
        http: A client of the tracking server.
        folder: Where they lie below the proxy.
        is_cancelled: Asked while a transfer runs; true ends it.
    """

    def __init__(self, http: httpx.Client, folder: str, is_cancelled: IsCancelled) -> None:
        self._http = http
        self._folder = folder
        self._is_cancelled = is_cancelled

    def sizes(self) -> Mapping[str, int]:
        """Bytes of each file at the top, by name.

        Raises:
            NoSuchModelError: there is nothing.
            SourceUnavailableError: MLflow cannot be asked.
        """
        return {
            each.path: each.file_size for each in _get(self._http, _ARTIFACTS, _ListAnswer, path=self._folder).files
        }

    def receive(self, path: str, into: Incoming, name: str) -> str:
        """Stream a file into a download, under a name there; returns its SHA-256 in hexadecimal.

        Raises:
            BrokenModelError: there is no such file.
            SourceUnavailableError: the transfer failed, took too long or was cancelled.
            OSError: the disk does not take it.
        """
        where = f"{_ARTIFACTS}/{quote(self._folder)}/{quote(path)}"
        try:
            with self._http.stream("GET", where, timeout=DOWNLOAD_TIMEOUT) as response:
                if response.status_code == 404:
                    raise BrokenModelError(f"MLflow has no {path} at {self._folder}")
                response.raise_for_status()
                return into.receive(name, chunks(response, self._is_cancelled))
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"downloading {path} failed: {brief(error)}") from error


class Content(Protocol):
    """What there is to fetch of a model version, and what promises it."""

    def file(self, tags: Mapping[str, str]) -> str:
        """Of a version with these tags, the file that a tag gives the SHA-256 of."""
        ...

    def tag(self, file: str) -> str:
        """The key of that tag."""
        ...

    def download(self, target: Target, artifacts: Artifacts, into: Incoming) -> None:
        """Fetch a version and verify it.

        Args:
            target: With a promised SHA-256.
            artifacts: Its artifacts.
            into: Where to.

        Raises:
            As `Source.fetch`.
        """
        ...


class MlflowRemote:
    """What an alias of a registered model points at.

    Args:
        name: The name it is served under.
        url: The tracking server.
        registered: The registered model's name.
        alias: The alias.
        content: What to fetch of it.
        login: User and password; None where it asks for none.
    """

    def __init__(  # noqa: PLR0913 - by name, what the settings have to say of it
        self,
        name: str,
        *,
        url: str,
        registered: str,
        alias: str,
        content: Content,
        login: tuple[str, str] | None = None,
    ) -> None:
        self._name = name
        self._registered = registered
        self._alias = alias
        self._content = content
        # The SHA-256 is of the file's own bytes: no compression on the way.
        headers = {"user-agent": "inference-platform", "accept-encoding": "identity"}
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT, headers=headers, auth=login)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def resolve(self) -> Wanted:
        """The model version that the alias points at now; see `Source.resolve`."""
        try:
            query = {"name": self._registered, "alias": self._alias}
            answer = _get(self._http, "/api/2.0/mlflow/registered-models/alias", _AliasAnswer, **query).model_version
        except NoSuchModelError as error:
            raise NoSuchModelError(f"no alias {self._alias!r} of model {self._registered!r}: {error}") from error
        tags = {tag.key: tag.value for tag in answer.tags}
        file = self._content.file(tags)
        sha256 = tags.get(self._content.tag(file), "").lower()
        promised = sha256 if SHA256.fullmatch(sha256) else None
        return Wanted(Target(self._name, answer.version, answer.source, promised, file=file))

    def download(self, target: Target, into: Incoming, is_cancelled: IsCancelled) -> None:
        """Stream a version's files through the artifact proxy; see `Remote.download`."""
        if target.sha256 is None:
            tag = self._content.tag(target.file)
            raise BrokenModelError(f"it has no tag {tag!r} of 64 hexadecimal digits, so its content cannot be verified")
        self._content.download(target, Artifacts(self._http, self._folder(target), is_cancelled), into)

    def _folder(self, target: Target) -> str:
        query = {"name": self._registered, "version": target.version}
        endpoint = "/api/2.0/mlflow/model-versions/get-download-uri"
        location = _get(self._http, endpoint, _LocationAnswer, **query).artifact_uri
        parts = urlsplit(location)
        if parts.scheme != "mlflow-artifacts":
            raise BrokenModelError(
                f"its artifacts are at {location}, outside of MLflow's proxy; run MLflow with --serve-artifacts"
            )
        return parts.path.strip("/")


def _get(http: httpx.Client, endpoint: str, answer: type[_Answer], **query: str) -> _Answer:
    try:
        response = http.get(endpoint, params=query)
        # An unknown model is 404; an unknown alias of a known model is 400 with this error code.
        if response.status_code in {400, 404}:
            raise NoSuchModelError(f"MLflow answers {response.status_code}: {response.text[:200]}")
        response.raise_for_status()
        return answer.model_validate_json(response.content)
    except (httpx.HTTPError, ValidationError) as error:
        raise SourceUnavailableError(f"MLflow at {http.base_url!r}: {brief(error)}") from error
