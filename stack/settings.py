"""The only reader of Pulumi config."""

import difflib
import ipaddress
import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import pulumi
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel

from stack.rules import Problem, problems

PROJECT_FILE = Path(__file__).parents[1] / "Pulumi.yaml"

_NAMESPACE = "inference-platform"
_OTHERS_KEYS = {
    "kubernetes:kubeconfig": "the path of a kubeconfig file; unset is $KUBECONFIG, else ~/.kube/config",
    "kubernetes:context": "a context of the kubeconfig; unset is its current one",
}

# Source: Kubernetes, "Resource Management for Pods and Containers": thousandths, or whole ones.
_CPU = r"[1-9]\d{0,5}m|[1-9]\d{0,2}"
# Source: distribution/reference. A registry's host, then folders; what is pushed to is always named in full.
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_PATH = r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)"
_TAG = r"(?!latest($|@))\w[\w.-]{0,127}"
_DIGEST = "@sha256:[0-9a-f]{64}"
_REFERENCE = rf"{_HOST}(:\d{{1,5}})?{_PATH}+(:{_TAG}|{_DIGEST}|:{_TAG}{_DIGEST})"


def _matching(pattern: str) -> AfterValidator:
    """All of the value matches; pydantic's own patterns know no look-ahead, with which `latest` is kept out."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise ValueError
        return value

    return AfterValidator(check)


def _existing_file(value: str) -> str:
    if value and not Path(value).is_file():
        raise ValueError
    return value


def _decoded(value: object) -> object:
    """Lists come from Pulumi as JSON; a default comes as it is."""
    return json.loads(value) if isinstance(value, str) else value


def _networks(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        ipaddress.IPv4Network(value)
    return values


_Name = Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")]
_Cpu = Annotated[str, _matching(_CPU)]
_Memory = Annotated[str, _matching(r"[1-9]\d{0,5}(Mi|Gi)")]
_Image = Annotated[str, _matching(_REFERENCE)]
_NodePort = Annotated[int, Field(ge=30000, le=32767)]
_OptionalFile = Annotated[str, AfterValidator(_existing_file)]
_Networks = Annotated[tuple[str, ...], BeforeValidator(_decoded), AfterValidator(_networks)]
_Roles = Annotated[
    tuple[Annotated[str, _matching(r"arn:aws[a-z-]*:iam::\d{12}:role/\S+")], ...], BeforeValidator(_decoded)
]
_Slug = Annotated[str, _matching(r"[a-z0-9.-]*")]
_Nodes = Annotated[int, Field(ge=1, le=100)]


class SettingsError(pulumi.RunError):
    """The config does not make valid settings; one line for each wrong key. Pulumi shows it without a traceback."""


def _key(field: str) -> str:
    return f"{_NAMESPACE}:{to_camel(field)}"


class Settings(BaseModel):
    """Everything that can be set. `Pulumi.yaml` says what each key of the project's namespace is for."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, alias_generator=_key)

    cloud: Literal["local", "digitalocean", "aws"] = "local"
    mode: Literal["kubernetes", "light"] = "kubernetes"
    production: bool = False

    region: _Slug = ""
    owner: Annotated[str, _matching(r"[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}")] = "platform"
    expires: Annotated[str, _matching(r"(\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}Z)?)?")] = ""
    deletion_protection: bool = True
    high_availability: bool = False
    domain: Annotated[str, _matching(rf"({_HOST}\.[a-z]{{2,}})?")] = ""
    allowed_networks: _Networks = ()
    api_networks: _Networks = ()
    administrators: _Roles = ()

    kubernetes_version: Annotated[str, _matching(r"1\.\d{2}")] = "1.34"
    node_size: _Slug = ""
    nodes_min: _Nodes = 2
    nodes_max: _Nodes = 4
    gpu_node_size: _Slug = ""
    gpu_nodes_min: Annotated[int, Field(ge=0, le=100)] = 1
    gpu_nodes_max: _Nodes = 1
    light_size: Literal["small", "medium", "large"] = "small"

    database_version: Annotated[str, _matching(r"1[4-9]")] = "17"
    database_size: _Slug = ""
    database_storage_gib: Annotated[int, Field(ge=20, le=65536)] = 20
    backup_days: Annotated[int, Field(ge=1, le=35)] = 7
    bucket_region: _Slug = ""
    registry_name: _Slug = ""
    registry_tier: Literal["basic", "professional"] = "basic"

    chart_mirror: Annotated[str, _matching(r"((oci|https)://\S+[^\s/])?")] = ""
    image_mirror: Annotated[str, _matching(rf"({_HOST}(:\d{{1,5}})?{_PATH}*)?")] = ""
    registry: Annotated[str, _matching(rf"({_HOST}(:\d{{1,5}})?{_PATH}*)?")] = ""
    image_tag: Annotated[str, _matching(_TAG)] = "dev"
    builder: Annotated[str, _matching(r"[A-Za-z0-9._-]*")] = ""
    platform: Annotated[str, _matching(r"(linux/(amd64|arm64))?")] = ""
    ca_bundle: _OptionalFile = ""
    pip_index_url: Annotated[str, _matching(r"(https?://[^\s/]+\S*)?")] = ""
    python_image: _Image = "docker.io/library/python:3.13.9-slim-bookworm"
    distroless_image: _Image = "gcr.io/distroless/python3-debian12:nonroot"
    distroless_build_image: _Image = "docker.io/library/python:3.11.14-slim-bookworm"
    postgres_image: _Image = "docker.io/library/postgres:17.6-bookworm"
    object_store_image: _Image = "docker.io/chrislusf/seaweedfs:4.48"

    model_name: _Name = "breast-cancer"
    model_alias: _Name = "production"
    example_model: bool = True
    model_storage: Literal["mlflow", "bucket", "image"] = "mlflow"
    model_key: Annotated[str, _matching(r"(([A-Za-z0-9._-]+/)+model\.onnx)?")] = ""
    model_sha256: Annotated[str, _matching(r"([0-9a-f]{64})?")] = ""
    model_folder: str = ""
    mlflow_login: bool = False

    replicas: Annotated[int, Field(ge=1, le=100)] = 1
    inference_device: Literal["cpu", "gpu"] = "cpu"
    distroless: bool = False
    inference_cpu: _Cpu = "250m"
    inference_cpu_limit: _Cpu = "1"
    inference_memory: _Memory = "512Mi"

    node_address: Annotated[str, _matching(_HOST)] = "127.0.0.1"
    inference_port: _NodePort = 30080
    mlflow_port: _NodePort = 30500

    kubeconfig: Annotated[_OptionalFile, Field(alias="kubernetes:kubeconfig")] = ""
    context: Annotated[str, Field(alias="kubernetes:context")] = ""

    @field_validator("inference_cpu_limit")
    @classmethod
    def _at_least_what_is_sure(cls, limit: str, info: ValidationInfo) -> str:
        if "inference_cpu" in info.data and _processors(limit) < _processors(info.data["inference_cpu"]):
            raise ValueError
        return limit

    @field_validator("mlflow_port")
    @classmethod
    def _not_taken(cls, port: int, info: ValidationInfo) -> int:
        if port == info.data.get("inference_port"):
            raise ValueError
        return port

    @classmethod
    def parse(cls, config: Mapping[str, str], secret: Collection[str] = ()) -> Self:
        """Settings from config values by their full keys.

        Args:
            config: Every value there is; of other namespaces than the project's, what is not asked for is ignored.
            secret: The keys whose values are not to be shown.

        Raises:
            SettingsError: a value is missing or wrong, or the project's namespace has no such key.
        """
        relevant = {
            key: value for key, value in config.items() if key in _OTHERS_KEYS or key.startswith(f"{_NAMESPACE}:")
        }
        try:
            settings = cls.model_validate(relevant)
        except ValidationError as error:
            # pydantic names what is wrong in the config by its key, and what is wrong in a default by its field.
            keys = {name: str(field.alias) for name, field in cls.model_fields.items()}
            places = [(str(it["loc"][0]), it) for it in error.errors()]
            lines = [_explain(keys.get(place, place), it["type"], it["input"], secret) for place, it in places]
            raise SettingsError("\n".join(lines)) from None
        if found := list(problems(settings)):
            raise SettingsError("\n".join(_contradiction(settings, it, secret) for it in found))
        return settings


def load_settings() -> Settings:
    """Read the settings of the stack that is being deployed.

    Raises:
        SettingsError: its config does not make valid settings.
    """
    return Settings.parse(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())


def _processors(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _explain(key: str, kind: str, got: object, secret: Collection[str]) -> str:
    takes = _descriptions()
    if kind == "extra_forbidden":
        nearest = difflib.get_close_matches(key, takes, n=1, cutoff=0)[0]
        return f"{key} is no key of this project, the nearest is {nearest}; `pulumi config rm {key}`"
    shown = "[secret]" if key in secret else repr(str(got))
    problem = "is not set" if got == "" else f"got {shown}"
    return f"{key} {problem}; it takes {takes[key]}; `pulumi config set {key} VALUE`"


def _contradiction(settings: Settings, problem: Problem, secret: Collection[str]) -> str:
    key = str(Settings.model_fields[problem.field].alias)
    got = getattr(settings, problem.field)
    shown = "[secret]" if key in secret else repr(_written(got))
    state = "is not set" if got in ("", ()) else f"got {shown}"
    return f"{key} {state}; {problem.reason}; `pulumi config set {key} {problem.fix}`"


def _written(value: object) -> str:
    """A value as config has it."""
    return json.dumps(value) if isinstance(value, bool | tuple) else str(value)


def _descriptions() -> dict[str, str]:
    """What each key takes, from the one place that says so."""
    import yaml  # noqa: PLC0415 - only who made a mistake waits for it

    declared = cast("dict[str, dict[str, Any]]", yaml.safe_load(PROJECT_FILE.read_text())["config"])
    return {f"{_NAMESPACE}:{key}": str(entry["description"]) for key, entry in declared.items()} | _OTHERS_KEYS
