"""The config: what is taken, and what is said of what is not."""

from pathlib import Path
from typing import Any, cast

import pulumi
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stack.settings import PROJECT_FILE, Settings, SettingsError
from tests.unit.stack.support.engine import REQUIRED

_NAMESPACE = "inference-platform:"
_DECLARED: dict[str, dict[str, Any]] = yaml.safe_load(PROJECT_FILE.read_text())["config"]
_TYPES = {"string": str, "integer": int, "boolean": bool, "array": list}
_KEYS = st.sampled_from(sorted(_DECLARED))
# What fits in a config value: no surrogates.
_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def _parse(**config: str) -> Settings:
    return Settings.parse({**REQUIRED, **{_NAMESPACE + key: value for key, value in config.items()}})


def _error(**config: str) -> str:
    with pytest.raises(SettingsError) as raised:
        _parse(**config)
    return str(raised.value)


def test_pulumi_yaml_declares_exactly_the_settings() -> None:
    fields = {str(it.alias): it for it in Settings.model_fields.values()}
    assert {_NAMESPACE + key for key in _DECLARED} == {key for key in fields if key.startswith(_NAMESPACE)}
    for key, declared in _DECLARED.items():
        default: object = fields[_NAMESPACE + key].default
        default = list(cast("tuple[object, ...]", default)) if isinstance(default, tuple) else default
        assert declared["default"] == default, key
        assert type(default) is _TYPES[declared["type"]], key
        assert declared["description"], key


def test_defaults_are_enough_but_for_the_registry() -> None:
    assert _parse().replicas == 1
    with pytest.raises(SettingsError) as raised:
        Settings.parse({})
    assert str(raised.value) == (
        "inference-platform:registry is not set; a local cluster pulls from a registry that is there already; "
        "`pulumi config set inference-platform:registry HOST:5000/inference-platform`"
    )


def test_the_errors_are_shown_without_a_traceback() -> None:
    assert issubclass(SettingsError, pulumi.RunError)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cloud", "gcp"),
        ("registry", "http://registry/"),
        ("imageTag", "latest"),
        ("builder", "a b"),
        ("platform", "windows/amd64"),
        ("caBundle", "/nowhere/ca.pem"),
        ("pipIndexUrl", "ftp://index"),
        ("pythonImage", "docker.io/library/python"),
        ("pythonImage", "docker.io/library/python:latest"),
        ("postgresImage", "docker.io/library/postgres:latest@sha256:" + "0" * 64),
        ("objectStoreImage", "docker.io/a/b@sha256:0"),
        ("modelName", "../model"),
        ("modelAlias", ""),
        ("exampleModel", "perhaps"),
        ("replicas", "0"),
        ("replicas", "1.5"),
        ("inferenceCpu", "0"),
        ("inferenceCpu", "0.5"),
        ("inferenceMemory", "512"),
        ("nodeAddress", "http://here"),
        ("inferencePort", "8080"),
        ("mlflowPort", "32768"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_taken_and_the_fix(key: str, value: str) -> None:
    name = _NAMESPACE + key
    problem = f"got {value!r}" if value else "is not set"
    takes = _DECLARED[key]["description"]
    assert _error(**{key: value}) == f"{name} {problem}; it takes {takes}; `pulumi config set {name} VALUE`"


def test_what_a_deployment_is_told_to_read_must_be_there() -> None:
    with pytest.raises(SettingsError, match=r"^kubernetes:kubeconfig got '/nowhere'; it takes the path of .*"):
        Settings.parse({**REQUIRED, "kubernetes:kubeconfig": "/nowhere"})


def test_every_wrong_key_has_a_line() -> None:
    lines = _error(replicas="none", mlflowPort="1", nosuch="1").splitlines()
    assert [line.split()[0] for line in lines] == [
        _NAMESPACE + "replicas",
        _NAMESPACE + "mlflowPort",
        _NAMESPACE + "nosuch",
    ]


@pytest.mark.parametrize(("key", "nearest"), [("replica", "replicas"), ("mlflow_port", "mlflowPort"), ("x", None)])
def test_of_an_unknown_key_the_nearest_known_one_is_said(key: str, nearest: str | None) -> None:
    line = _error(**{key: "1"})
    assert line.startswith(f"{_NAMESPACE}{key} is no key of this project, the nearest is {_NAMESPACE}{nearest or ''}")
    assert line.endswith(f"`pulumi config rm {_NAMESPACE}{key}`")
    assert "\n" not in line


def test_keys_of_others_are_left_alone() -> None:
    Settings.parse({**REQUIRED, "aws:region": "eu-central-1", "pulumi:disable-default-providers": "[]"})


def test_a_secret_is_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.parse({**REQUIRED, _NAMESPACE + "modelName": "not a name"}, secret={_NAMESPACE + "modelName"})
    assert str(raised.value).startswith(f"{_NAMESPACE}modelName got [secret]; it takes ")
    assert "not a name" not in str(raised.value)


@given(st.integers(30000, 32767), st.integers(30000, 32767))
def test_two_services_do_not_share_a_port(inference: int, mlflow: int) -> None:
    config = {"inferencePort": str(inference), "mlflowPort": str(mlflow)}
    if inference == mlflow:
        assert _error(**config).startswith(f"{_NAMESPACE}mlflowPort got '{mlflow}'")
    else:
        assert (_parse(**config).inference_port, _parse(**config).mlflow_port) == (inference, mlflow)


def test_one_port_for_both_is_wrong() -> None:
    assert _error(inferencePort="30500") == (
        f"{_NAMESPACE}mlflowPort got '30500'; it takes {_DECLARED['mlflowPort']['description']}; "
        f"`pulumi config set {_NAMESPACE}mlflowPort VALUE`"
    )


@given(st.integers(1, 4000), st.integers(1, 4000))
def test_the_limit_is_not_below_what_is_sure(sure: int, limit: int) -> None:
    config = {"inferenceCpu": f"{sure}m", "inferenceCpuLimit": f"{limit}m"}
    if limit < sure:
        assert _error(**config).startswith(f"{_NAMESPACE}inferenceCpuLimit got '{limit}m'")
    else:
        assert _parse(**config).inference_cpu_limit == f"{limit}m"


@given(_KEYS, _TEXT)
def test_any_value_is_either_taken_or_explained_in_one_line(key: str, value: str) -> None:
    try:
        _parse(**{key: value})
    except SettingsError as error:
        (line,) = str(error).splitlines()
    else:
        return
    assert line.startswith(f"{_NAMESPACE}{key} ")


@given(st.from_regex(r"[A-Za-z0-9._-]{1,20}", fullmatch=True))
def test_any_key_is_either_known_or_explained_in_one_line(key: str) -> None:
    if key not in _DECLARED:
        line = _error(**{key: "1"})
        assert len(line.splitlines()) == 1
        assert "the nearest is inference-platform:" in line


@given(st.from_regex(r"[a-z]{1,9}\.io(/[a-z0-9]{1,9}){1,3}:[a-z0-9][a-z0-9.]{0,9}", fullmatch=True))
def test_images_can_be_pointed_at_a_mirror(image: str) -> None:
    if not image.endswith(":latest"):
        assert _parse(pythonImage=image).python_image == image


def test_settings_do_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        _parse().replicas = 2  # pyright: ignore[reportAttributeAccessIssue] - which is the point


def test_a_ca_bundle_that_is_there_is_taken(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.touch()
    assert _parse(caBundle=str(bundle)).ca_bundle == str(bundle)
