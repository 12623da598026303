"""MLflow's REST API, as much of it as a server needs: resolve an alias, stream an artifact.

Source: MLflow REST API 2.0 (`registered-models/alias`, `model-versions/get-download-uri`) and the artifact proxy of a
tracking server started with `--serve-artifacts` (`mlflow-artifacts/artifacts`).
"""

import hashlib
import re
import time
from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
from pydantic import BaseModel, Field, ValidationError

from inference_app.registry.target import BrokenModelError, NoSuchAliasError, RegistryUnavailableError, Target

_MODEL_FILE = "model.onnx"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds for each step
# The proxy fetches the whole file from its store before it sends the first byte.
_DOWNLOAD_TIMEOUT = httpx.Timeout(10, connect=3, read=300)
_DOWNLOAD_SECONDS = 900


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


_Answer = TypeVar("_Answer", bound=BaseModel)


class MlflowRegistry:
    """A client for one tracking server. Used by one thread at a time; close it, or use it as a context manager.

    Args:
        url: The tracking server.
    """

    def __init__(self, url: str) -> None:
        # The SHA-256 is of the file's own bytes: no compression on the way.
        headers = {"user-agent": "inference-platform", "accept-encoding": "identity"}
        self._http = httpx.Client(base_url=url.rstrip("/"), timeout=_TIMEOUT, headers=headers)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def resolve(self, name: str, alias: str) -> Target:
        """The model version that an alias points at now.

        Raises:
            NoSuchAliasError: MLflow knows no such model or alias.
            RegistryUnavailableError: MLflow cannot be asked, or its answer makes no sense.
        """
        answer = self._get("registered-models/alias", _AliasAnswer, name=name, alias=alias).model_version
        tags = {tag.key: tag.value for tag in answer.tags}
        sha256 = tags.get("sha256", "").lower()
        return Target(name, answer.version, answer.source, sha256 if _SHA256.fullmatch(sha256) else None)

    def download(self, target: Target, into: BinaryIO, is_cancelled: Callable[[], bool]) -> str:
        """Stream a version's `model.onnx` through the artifact proxy.

        Args:
            target: Which version.
            into: Where the bytes go.
            is_cancelled: Asked between chunks; true ends the download.

        Returns:
            The SHA-256 of what was written, in hexadecimal.

        Raises:
            BrokenModelError: the version has no such file, or lies where the proxy does not reach.
            RegistryUnavailableError: the transfer failed, took too long or was cancelled.
        """
        digest = hashlib.sha256()
        deadline = time.monotonic() + _DOWNLOAD_SECONDS
        try:
            with self._http.stream("GET", self._artifact_path(target), timeout=_DOWNLOAD_TIMEOUT) as response:
                if response.status_code == 404:
                    raise BrokenModelError(f"MLflow has no {_MODEL_FILE} at {target.source}")
                response.raise_for_status()
                for chunk in response.iter_raw():
                    if is_cancelled():
                        raise RegistryUnavailableError("the download was cancelled")
                    if time.monotonic() > deadline:
                        raise RegistryUnavailableError(f"the download took longer than {_DOWNLOAD_SECONDS} s")
                    digest.update(chunk)
                    into.write(chunk)
        except httpx.HTTPError as error:
            raise RegistryUnavailableError(f"downloading {_MODEL_FILE} failed: {_brief(error)}") from error
        return digest.hexdigest()

    def _artifact_path(self, target: Target) -> str:
        location = self._get(
            "model-versions/get-download-uri", _LocationAnswer, name=target.name, version=target.version
        ).artifact_uri
        parts = urlsplit(location)
        if parts.scheme != "mlflow-artifacts":
            raise BrokenModelError(
                f"its artifacts are at {location}, outside of MLflow's proxy; run MLflow with --serve-artifacts"
            )
        return f"/api/2.0/mlflow-artifacts/artifacts/{quote(parts.path.strip('/'))}/{_MODEL_FILE}"

    def _get(self, endpoint: str, answer: type[_Answer], **query: str) -> _Answer:
        try:
            response = self._http.get(f"/api/2.0/mlflow/{endpoint}", params=query)
            # An unknown model is 404; an unknown alias of a known model is 400 with this error code.
            if response.status_code in {400, 404}:
                raise NoSuchAliasError(f"MLflow answers {response.status_code}: {response.text[:200]}")
            response.raise_for_status()
            return answer.model_validate_json(response.content)
        except (httpx.HTTPError, ValidationError) as error:
            raise RegistryUnavailableError(f"MLflow at {self._http.base_url!r}: {_brief(error)}") from error


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".split("\n", 1)[0]
