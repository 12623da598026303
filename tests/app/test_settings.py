"""Settings from the environment, and what is said of wrong ones."""

import subprocess
import sys
from pathlib import Path

import pytest

from inference_app.cpus import available_cpus
from inference_app.settings import SettingsError, load_settings


@pytest.fixture(autouse=True)
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_MODEL_NAME", "demo")
    monkeypatch.setenv("INFERENCE_MLFLOW_URL", "http://mlflow:5000")


def test_defaults() -> None:
    settings = load_settings()
    assert (settings.model_alias, settings.port, settings.max_body_bytes) == ("production", 8080, 8 * 2**20)
    assert settings.intra_op_threads == available_cpus()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MODEL_NAME", "../escape"),
        ("MODEL_ALIAS", "a b"),
        ("MLFLOW_URL", "ftp://mlflow"),
        ("POLL_SECONDS", "0"),
        ("MAX_BODY_BYTES", "8MiB"),
        ("PORT", "65536"),
        ("INTRA_OP_THREADS", "many"),
        ("EXECUTION_PROVIDERS", '["gpu"]'),
        ("MODELS", "nope"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(f"INFERENCE_{variable}", value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message = str(raised.value)
    assert message.startswith(f"INFERENCE_{variable} got ")
    assert value.strip('["]') in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ('[{"name": "a/b", "source": "file:///models"}]', "got 'a/b' at 0.name "),
        ('[{"name": "a", "source": "/models"}]', "got '/models' at 0.source "),
        ('[{"name": "a", "source": "file:///m", "max_batch": 2}]', "got '2' at 0.max_batch "),
        (
            '[{"name": "a", "source": "file:///m"}, {"name": "a", "source": "file:///n"}]',
            "is wrong: a name is there twice",
        ),
        (
            '[{"name": "a", "source": "pyfunc:/a@b", "priority": "high", "variant": "int8"}]',
            "got \"{'name': 'a', 'source': 'pyfunc:/a@b', 'priority': 'high', 'variant': 'int8'}\" at 0 "
            "(a source pyfunc:/... has no priority, variant)",
        ),
    ],
)
def test_a_wrong_model_is_named(monkeypatch: pytest.MonkeyPatch, models: str, said: str) -> None:
    monkeypatch.delenv("INFERENCE_MODEL_NAME")
    monkeypatch.setenv("INFERENCE_MODELS", models)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    assert str(raised.value).startswith(f"INFERENCE_MODELS {said}")


def test_models_of_mlflow_need_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INFERENCE_MLFLOW_URL")
    with pytest.raises(SettingsError, match=r"INFERENCE_MLFLOW_URL is wrong: a source models:/\.\.\. or pyfunc"):
        load_settings()


def test_the_short_form_follows_an_alias() -> None:
    [model] = load_settings().served_models
    assert model.source == "models:/demo@production"


@pytest.mark.parametrize(
    ("environment", "line"),
    [
        (
            {"INFERENCE_MLFLOW_URL": "http://mlflow"},
            "INFERENCE_MODEL_NAME is wrong: set either this or INFERENCE_MODELS; it takes ",
        ),
        (
            {
                "INFERENCE_MLFLOW_URL": "http://mlflow",
                "INFERENCE_MODEL_NAME": "demo",
                "INFERENCE_CACHE_DIR": "/proc/cache",
            },
            "INFERENCE_CACHE_DIR got '/proc/cache",
        ),
    ],
)
def test_the_process_says_one_line_and_ends_with_2(environment: dict[str, str], line: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "inference_app"],
        env={"PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith(line)
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({"cpu.max": "100000 100000"}, 1),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_the_cpu_quota_bounds_threads(tmp_path: Path, files: dict[str, str], cpus: int | None) -> None:
    unbounded = available_cpus(tmp_path)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert available_cpus(tmp_path) == (cpus or unbounded)


def test_the_interpreter_of_workers_is_looked_for_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFERENCE_PYFUNC_PYTHON", "/no/python")
    load_settings()  # nobody needs it
    monkeypatch.delenv("INFERENCE_MODEL_NAME")
    monkeypatch.setenv("INFERENCE_MODELS", '[{"name": "a", "source": "pyfunc:/a@b"}]')
    with pytest.raises(SettingsError, match="INFERENCE_PYFUNC_PYTHON is wrong: it is no program here; it takes"):
        load_settings()
