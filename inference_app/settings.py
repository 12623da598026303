"""The server's settings, all from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints, UrlConstraints, ValidationError
from pydantic.networks import AnyUrl
from pydantic_settings import BaseSettings, SettingsConfigDict

from inference_app.cpus import available_cpus

_PREFIX = "INFERENCE_"

# Names become a folder in the cache and a segment of the URL before ":predict".
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
_HttpUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["http", "https"], host_required=True)]


class SettingsError(Exception):
    """The environment does not make valid settings; the message has one line for each wrong variable."""


class Settings(BaseSettings):
    """Everything that can be set, each from the environment variable `INFERENCE_` + name in capitals."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, frozen=True, env_ignore_empty=True)

    model_name: _Name = Field(description="the registered model's name: letters, digits, '.', '_', '-', at most 128")
    model_alias: _Name = Field(default="production", description="the alias to follow: letters, digits, '.', '_', '-'")
    mlflow_url: _HttpUrl = Field(description="MLflow's URL, http:// or https://")
    cache_dir: Path = Field(default=Path("/var/cache/models"), description="a writable folder for verified models")
    poll_seconds: float = Field(
        default=5, gt=0, le=3600, description="seconds between two looks at the alias, above 0, at most 3600"
    )
    max_body_bytes: int = Field(default=8 * 2**20, ge=1, description="the largest request body in bytes, at least 1")
    host: str = Field(default="0.0.0.0", description="the address to listen on")  # noqa: S104 - a container's own network
    port: int = Field(default=8080, ge=0, le=65535, description="the port to listen on, 0 (any free one) to 65535")
    intra_op_threads: int = Field(
        default_factory=available_cpus, ge=1, le=1024, description="threads that compute one request, 1 to 1024"
    )


def load_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        SettingsError: a variable is missing or wrong; its message names each, what it got and what it takes.
    """
    try:
        return Settings()  # pyright: ignore[reportCallIssue] - the environment gives what is required
    except ValidationError as error:
        lines = [_explain(str(detail["loc"][0]), detail["type"], detail["input"]) for detail in error.errors()]
        raise SettingsError("\n".join(dict.fromkeys(lines))) from None


def _explain(field: str, kind: str, got: object) -> str:
    takes = Settings.model_fields[field].description
    problem = "is not set" if kind == "missing" else f"got {str(got)!r}"
    return f"{_PREFIX}{field.upper()} {problem}; it takes {takes}"
