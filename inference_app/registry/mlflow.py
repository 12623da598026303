"""MLflow's REST API, as much of it as a server needs: resolve an alias, list and stream artifacts.

Source: MLflow REST API 2.0 (`registered-models/alias`, `model-versions/get-download-uri`) and the artifact proxy of a
tracking server started with `--serve-artifacts` (`mlflow-artifacts/artifacts`).
"""

from typing import TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError

from inference_app.registry.cache import Incoming
from inference_app.registry.layout import MODEL_FILE, SHA256, SIDE_FILE_BYTES, beside, variant_file
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


class MlflowRemote:
    """What an alias of a registered model points at.

    Args:
        name: The name it is served under.
        url: The tracking server.
        registered: The registered model's name.
        alias: The alias.
        variant: The variant to serve where the version has a tag `sha256.<variant>`; empty for none.
    """

    def __init__(self, name: str, *, url: str, registered: str, alias: str, variant: str = "") -> None:
        self._name = name
        self._registered = registered
        self._alias = alias
        self._variant = variant
        # The SHA-256 is of the file's own bytes: no compression on the way.
        headers = {"user-agent": "inference-platform", "accept-encoding": "identity"}
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT, headers=headers)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def resolve(self) -> Wanted:
        """The model version that the alias points at now; see `Source.resolve`."""
        try:
            query = {"name": self._registered, "alias": self._alias}
            answer = self._get("/api/2.0/mlflow/registered-models/alias", _AliasAnswer, **query).model_version
        except NoSuchModelError as error:
            raise NoSuchModelError(f"no alias {self._alias!r} of model {self._registered!r}: {error}") from error
        tags = {tag.key: tag.value for tag in answer.tags}
        variant = self._variant if f"sha256.{self._variant}" in tags else ""
        sha256 = tags.get(_tag(variant), "").lower()
        return Wanted(
            Target(
                self._name,
                answer.version,
                answer.source,
                sha256 if SHA256.fullmatch(sha256) else None,
                file=variant_file(variant),
            )
        )

    def download(self, target: Target, into: Incoming, is_cancelled: IsCancelled) -> None:
        """Stream a version's files through the artifact proxy; see `Remote.download`."""
        tag = _tag("" if target.file == MODEL_FILE else self._variant)
        if target.sha256 is None:
            raise BrokenModelError(f"it has no tag {tag!r} of 64 hexadecimal digits, so its content cannot be verified")
        folder = self._folder(target)
        sizes = {file.path: file.file_size for file in self._get(_ARTIFACTS, _ListAnswer, path=folder).files}
        if target.file not in sizes:
            raise BrokenModelError(f"MLflow has no {target.file} at {target.source}")
        for name in beside(target.file):
            if sizes.get(name, SIDE_FILE_BYTES + 1) <= SIDE_FILE_BYTES:
                self._stream(folder, name, into, is_cancelled)
            elif name in sizes:
                raise BrokenModelError(f"its {name} is larger than {SIDE_FILE_BYTES} bytes")
        sha256 = self._stream(folder, target.file, into, is_cancelled)
        if sha256 != target.sha256:
            raise BrokenModelError(f"its {target.file} has SHA-256 {sha256}, its tag {tag!r} promises {target.sha256}")

    def _stream(self, folder: str, name: str, into: Incoming, is_cancelled: IsCancelled) -> str:
        path = f"{_ARTIFACTS}/{quote(folder)}/{name}"
        try:
            with self._http.stream("GET", path, timeout=DOWNLOAD_TIMEOUT) as response:
                if response.status_code == 404:
                    raise BrokenModelError(f"MLflow has no {name} at {folder}")
                response.raise_for_status()
                return into.receive(name, chunks(response, is_cancelled))
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"downloading {name} failed: {brief(error)}") from error

    def _folder(self, target: Target) -> str:
        query = {"name": self._registered, "version": target.version}
        location = self._get("/api/2.0/mlflow/model-versions/get-download-uri", _LocationAnswer, **query).artifact_uri
        parts = urlsplit(location)
        if parts.scheme != "mlflow-artifacts":
            raise BrokenModelError(
                f"its artifacts are at {location}, outside of MLflow's proxy; run MLflow with --serve-artifacts"
            )
        return parts.path.strip("/")

    def _get(self, endpoint: str, answer: type[_Answer], **query: str) -> _Answer:
        try:
            response = self._http.get(endpoint, params=query)
            # An unknown model is 404; an unknown alias of a known model is 400 with this error code.
            if response.status_code in {400, 404}:
                raise NoSuchModelError(f"MLflow answers {response.status_code}: {response.text[:200]}")
            response.raise_for_status()
            return answer.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            raise SourceUnavailableError(f"MLflow at {self._http.base_url!r}: {brief(error)}") from error


def _tag(variant: str) -> str:
    return f"sha256.{variant}" if variant else "sha256"
