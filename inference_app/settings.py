"""The server's settings, all from the environment."""

import os
import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    UrlConstraints,
    ValidationError,
    model_validator,
)
from pydantic.networks import AnyUrl
from pydantic_core import ErrorDetails, PydanticCustomError, from_json
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from inference_app.cpus import available_cpus

_PREFIX = "INFERENCE_"

# Names become a folder in the cache and a segment of the URL before ":predict".
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
_Version = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,18}$")]
_Variant = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9-]{0,31})?$")]
_Source = Annotated[
    str, StringConstraints(pattern=r"^((models|pyfunc):/[^/@]+@[^/@]+|file:///.+|s3://[^/]+(/.*)?|image:///.+)$")
]
_Provider = Literal["cpu", "cuda", "tensorrt"]
_HttpUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https"], host_required=True)]


def _decoded(value: object) -> object:
    """JSON in a variable; a default comes as it is."""
    return from_json(value) if isinstance(value, str) else value


class VersionPolicy(BaseModel):
    """Which versions of a directory or bucket are served; the latest of them by default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latest: int = Field(default=1, ge=1, le=1000, description="so many of the highest versions, 1 to 1000")
    specific: tuple[_Version, ...] = Field(default=(), description="exactly these versions, instead of the latest")


class ModelSettings(BaseModel):
    """One model: where it comes from and how it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name = Field(description="the name in URLs: letters, digits, '.', '_', '-', at most 128")
    source: _Source = Field(
        description="models:/name@alias (MLflow), pyfunc:/name@alias (MLflow, a flavour other than ONNX), "
        "file:///folder, s3://bucket/prefix or image:///folder"
    )
    versions: VersionPolicy = Field(default=VersionPolicy(), description="{'latest': n} or {'specific': ['1', '3']}")
    variant: _Variant = Field(default="", description="serve model.<variant>.onnx, a quantised form, where it is there")
    max_batch_size: int | None = Field(
        default=None, ge=1, le=65536, description="rows run together, 1 to 65536; by default what measures best"
    )
    batch_timeout_micros: int = Field(
        default=0, ge=0, le=10_000_000, description="microseconds to wait for company, 0 to 10000000"
    )
    max_enqueued_batches: int = Field(default=64, ge=1, le=65536, description="full batches that may wait, 1 to 65536")
    priority: Literal["high", "normal", "low"] = Field(default="normal", description="high, normal or low")
    response_cache_bytes: int = Field(default=0, ge=0, description="memory for answers to repeated inputs, 0 for none")

    @property
    def is_pyfunc(self) -> bool:
        """Whether it runs in a worker process of its own, on MLflow's library."""
        return self.source.startswith("pyfunc:")

    @model_validator(mode="after")
    def _suits_its_source(self) -> Self:
        without_effect = self.model_fields_set & {"variant", "priority", "response_cache_bytes"}
        if self.is_pyfunc and without_effect:
            raise PydanticCustomError(
                "without_effect", "a source pyfunc:/... has no {fields}", {"fields": ", ".join(sorted(without_effect))}
            )
        return self


class SettingsError(Exception):
    """The environment does not make valid settings; the message has one line for each wrong variable."""


class Settings(BaseSettings):
    """Everything that can be set, each from the environment variable `INFERENCE_` + name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, env_ignore_empty=True)

    models: Annotated[tuple[ModelSettings, ...], NoDecode, BeforeValidator(_decoded)] = Field(
        default=(), description="a JSON list of models, as `ModelSettings` has them"
    )
    model_name: Name | None = Field(
        default=None, description="the one model, a short form: models:/<name>@<alias>; letters, digits, '.', '_', '-'"
    )
    model_alias: Name = Field(default="production", description="the alias to follow: letters, digits, '.', '_', '-'")
    mlflow_url: _HttpUrl | None = Field(default=None, description="MLflow's URL, http:// or https://")
    mlflow_username: str | None = Field(default=None, description="the user at MLflow, where it asks for one")
    mlflow_password: SecretStr | None = Field(default=None, description="that user's password")
    webhook_secret: SecretStr | None = Field(
        default=None, description="the secret that MLflow signs its webhooks with; without it they are refused"
    )
    cache_dir: Path = Field(default=Path("/var/cache/models"), description="a writable folder for verified models")
    cache_bytes: int = Field(default=10 * 2**30, ge=1, description="disk that the folder may take, in bytes")
    poll_seconds: float = Field(
        default=5, gt=0, le=3600, description="seconds between two looks at a source, above 0, at most 3600"
    )
    max_body_bytes: int = Field(default=8 * 2**20, ge=1, description="the largest request body in bytes, at least 1")
    max_pending_bytes: int = Field(
        default=64 * 2**20, ge=1, description="memory for all requests that are being received or wait, in bytes"
    )
    memory_budget_bytes: int = Field(
        default=0, ge=0, description="memory for loaded models in bytes; the least used are unloaded, 0 for no limit"
    )
    host: str = Field(default="0.0.0.0", description="the address to listen on")  # noqa: S104 - a container's own network
    port: int = Field(default=8080, ge=0, le=65535, description="the HTTP port, 0 (any free one) to 65535")
    grpc_port: int = Field(default=8081, ge=0, le=65535, description="the gRPC port, 0 (any free one) to 65535")
    intra_op_threads: int = Field(
        default_factory=available_cpus, ge=1, le=1024, description="threads that compute one batch, 1 to 1024"
    )
    execution_providers: Annotated[tuple[_Provider, ...], NoDecode, BeforeValidator(_decoded)] = Field(
        default=("cpu",), description="a JSON list of cpu, cuda and tensorrt, the preferred first"
    )
    pyfunc_python: Path = Field(
        default=Path(sys.executable),
        description="the Python interpreter, 3.11 or newer, that has MLflow and what pyfunc models import",
    )
    pyfunc_timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="seconds that one run of a pyfunc model may take, above 0, at most 3600"
    )
    access_log_per_second: int = Field(
        default=100, ge=0, description="lines of the access log a second at most; above that a sample"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if bool(self.models) == bool(self.model_name):
            raise PydanticCustomError("model_name", "set either this or INFERENCE_MODELS")
        names = [model.name for model in self.served_models]
        if len(set(names)) != len(names):
            raise PydanticCustomError("models", "a name is there twice")
        if self.mlflow_url is None and any(
            model.source.startswith(("models:/", "pyfunc:/")) for model in self.served_models
        ):
            raise PydanticCustomError("mlflow_url", "a source models:/... or pyfunc:/... needs it")
        if any(model.is_pyfunc for model in self.served_models) and not os.access(self.pyfunc_python, os.X_OK):
            raise PydanticCustomError("pyfunc_python", "it is no program here")
        if (self.mlflow_username is None) != (self.mlflow_password is None):
            raise PydanticCustomError("mlflow_password", "it goes with INFERENCE_MLFLOW_USERNAME")
        return self

    @property
    def mlflow_login(self) -> tuple[str, str] | None:
        """User and password at MLflow; None where it asks for none."""
        if self.mlflow_username is None or self.mlflow_password is None:
            return None
        return self.mlflow_username, self.mlflow_password.get_secret_value()

    @property
    def served_models(self) -> tuple[ModelSettings, ...]:
        """The models to serve, whichever way they were written."""
        if self.model_name is None:
            return self.models
        return (ModelSettings(name=self.model_name, source=f"models:/{self.model_name}@{self.model_alias}"),)


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable is missing or wrong; its message names each, what it got and what it takes.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue] - the environment gives what is required
    except ValidationError as error:
        lines = [_explain(detail) for detail in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def _explain(detail: ErrorDetails) -> str:
    if not detail["loc"]:  # of several variables together: the kind names the one to change
        field, problem = detail["type"], f"is wrong: {detail['msg']}"
    else:
        field, *inner = map(str, detail["loc"])
        got = f"got {str(detail['input'])[:200]!r}"
        problem = f"{got} at {'.'.join(inner)} ({detail['msg']})" if inner else got
    return f"{_PREFIX}{field.upper()} {problem}; it takes {Settings.model_fields[field].description}"
