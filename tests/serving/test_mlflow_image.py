"""The MLflow image's entry point: schema, users and passwords, and the database's password from AWS, all for real."""
# boto3 ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from inference_app.registry.mlflow import MlflowRemote
from inference_app.registry.onnx_file import OnnxFile
from inference_app.registry.target import NoSuchModelError, SourceUnavailableError
from mlflow_server import authentication, certificates, password
from model_publisher.errors import PublishError
from model_publisher.published import find_published
from tests.app.support.processes import Process, eventually, free_port
from tests.serving.support.object_store import ObjectStore
from tests.serving.support.postgres import postgres
from tools.places import REPOSITORY

_LOGIN = ("admin", "a password that is long enough")


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgres(tmp_path_factory.mktemp("postgres") / "postgres.log") as url:
        yield url


def _environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {key: os.environ[key] for key in ("SSL_CERT_FILE", "LANG") if key in os.environ}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**kept, "PATH": path, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": str(REPOSITORY), **more}


def _run(environment: Mapping[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "mlflow_server", *arguments]
    done = subprocess.run(command, env=dict(environment), check=False, capture_output=True, text=True, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def _tables(url: str) -> set[str]:
    import sqlalchemy  # noqa: PLC0415 - as the image has it

    engine = sqlalchemy.create_engine(url)
    try:
        return set(sqlalchemy.inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_the_schema_is_made_and_brought_up_to_date(empty_database: str, tmp_path: Path) -> None:
    environment = _environment(tmp_path)
    _run(environment, "upgrade", empty_database)
    made = _tables(empty_database)
    assert {"registered_models", "model_versions", "alembic_version"} <= made
    assert "users" not in made
    _run(environment, "upgrade", empty_database, "--login")
    with_users = _tables(empty_database)
    assert {"users", "alembic_version_auth"} <= with_users
    _run(environment, "upgrade", empty_database, "--login")
    assert _tables(empty_database) == with_users


def test_an_administrator_gives_the_user_its_rights(empty_database: str, tmp_path: Path) -> None:
    import sqlalchemy  # noqa: PLC0415 - as the image has it

    administrator = sqlalchemy.create_engine(empty_database, isolation_level="AUTOCOMMIT")
    with administrator.connect() as connection:
        connection.execute(sqlalchemy.text('CREATE ROLE "a user" LOGIN'))
        connection.execute(sqlalchemy.text("CREATE DATABASE other"))
    theirs = empty_database.replace("/postgres", "/other").replace("mlflow@", "")
    environment = _environment(tmp_path, PGUSER="a user")
    refused = subprocess.run(
        [sys.executable, "-m", "mlflow_server", "upgrade", theirs], env=environment, check=False, capture_output=True
    )
    assert refused.returncode != 0
    assert b"permission denied for schema public" in refused.stderr + refused.stdout
    given = {"DATABASE_ADMIN_URI": empty_database.replace("/postgres", "/other"), "DATABASE_ADMIN_PASSWORD": "unused"}
    _run({**environment, **given, "DATABASE_USER": "a user"}, "upgrade", theirs)
    assert "registered_models" in _tables(empty_database.replace("/postgres", "/other"))


def test_a_server_with_a_login_answers_who_has_it(
    empty_database: str, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    environment = _environment(
        tmp_path,
        **store.environment,
        MLFLOW_AUTH_DATABASE_URI=empty_database,
        MLFLOW_AUTH_ADMIN_USERNAME=_LOGIN[0],
        MLFLOW_AUTH_ADMIN_PASSWORD=_LOGIN[1],
        MLFLOW_FLASK_SERVER_SECRET_KEY="session-key",
    )
    server = [
        *("server", "--host=127.0.0.1", f"--port={port}", "--workers=1", "--serve-artifacts", "--app-name=basic-auth"),
        *(f"--artifacts-destination=s3://{store.bucket}", f"--backend-store-uri={empty_database}"),
        f"--allowed-hosts=127.0.0.1:{port}",
    ]
    first = ["--first", "upgrade", empty_database, "--login", "--"]
    command = [sys.executable, "-m", "mlflow_server", *first, *server]
    with (
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client,
        Process(command, environment, tmp_path / "mlflow.log") as running,
    ):
        running.await_ready(lambda: _status(client, "/health") == 200)
        search = "/api/2.0/mlflow/registered-models/search"
        assert client.get(search).status_code == 401
        assert client.get(search, auth=("admin", "wrong")).status_code == 401
        assert client.get(search, auth=_LOGIN).status_code == 200
        _clients_log_in(f"http://127.0.0.1:{port}", monkeypatch)


def _clients_log_in(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The inference server's client and the publisher's: who is let in hears that there is no such model."""

    def ask(login: tuple[str, str] | None) -> None:
        with closing(MlflowRemote("m", url=url, registered="m", alias="a", content=OnnxFile(), login=login)) as remote:
            remote.resolve()

    with pytest.raises(SourceUnavailableError, match="401"):
        ask(None)
    with pytest.raises(NoSuchModelError):
        ask(_LOGIN)
    with pytest.raises(PublishError, match="401"):
        find_published(url, "m", "a")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", _LOGIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", _LOGIN[1])
    assert find_published(url, "m", "a") is None


def _status(client: httpx.Client, path: str) -> int:
    try:
        return client.get(path).status_code
    except httpx.TransportError:
        return 0


def test_without_a_login_there_is_no_configuration_of_one(tmp_path: Path) -> None:
    environment: dict[str, str] = {}
    authentication.provide(environment, tmp_path)
    assert environment == {}
    assert not list(tmp_path.iterdir())


def test_percent_signs_in_an_uri_stay(tmp_path: Path) -> None:
    environment = {"MLFLOW_AUTH_DATABASE_URI": "postgresql://u%40h/db"}
    authentication.provide(environment, tmp_path)
    assert "database_uri = postgresql://u%40h/db" in Path(environment["MLFLOW_AUTH_CONFIG_PATH"]).read_text()


def test_certificates_are_where_libpq_looks(tmp_path: Path) -> None:
    environment = {"DATABASE_CA_PEM": "-----BEGIN CERTIFICATE-----"}
    certificates.provide(environment, tmp_path)
    assert Path(environment["PGSSLROOTCERT"]).read_text() == "-----BEGIN CERTIFICATE-----"


def test_certificates_that_anybody_could_have_sent_are_not_taken(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="proves nothing"):
        certificates.provide({"DATABASE_CA_URL": "http://example.com/ca.pem"}, tmp_path)


@pytest.fixture
def secrets_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    port = free_port()
    command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    with Process(command, {"PATH": os.environ["PATH"]}, tmp_path / "moto.log") as server:
        with httpx.Client(base_url=environment["AWS_ENDPOINT_URL"]) as client:
            server.await_ready(lambda: _status(client, "/moto-api/") == 200)
        yield boto3.client("secretsmanager")


def _secret(secrets_manager: Any, value: str) -> str:
    content = json.dumps({"username": "mlflow", "password": value})
    return secrets_manager.create_secret(Name="rds!db-1", SecretString=content)["ARN"]


def test_the_password_is_for_libpqs_eyes_only(secrets_manager: Any, tmp_path: Path) -> None:
    environment = {"DATABASE_SECRET": _secret(secrets_manager, r"a:b\c")}
    password.provide(environment, tmp_path)
    file = Path(environment["PGPASSFILE"])
    assert file.read_text() == "*:*:*:mlflow:a\\:b\\\\c\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_renewed_password_arrives_and_the_follower_ends_with_the_server(secrets_manager: Any, tmp_path: Path) -> None:
    arn = _secret(secrets_manager, "old")
    program = (
        "import os, sys; from pathlib import Path; from mlflow_server import password; "
        "folder = Path(sys.argv[1]); password._SECONDS = 0.1; "
        "password.provide(os.environ, folder); password.follow(os.environ, folder); "
        "children = Path(f'/proc/self/task/{os.getpid()}/children').read_text(); "
        "(folder / 'followers').write_text(children); "
        "os.execvp('sleep', ['sleep', '60'])"
    )
    aws = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
    environment = _environment(tmp_path, **aws, DATABASE_SECRET=arn)
    file, noted = tmp_path / "pgpass", tmp_path / "followers"
    with Process([sys.executable, "-c", program, str(tmp_path)], environment, tmp_path / "server.log"):
        eventually(lambda: noted.exists() and noted.read_text(), "a follower")
        (follower,) = map(int, noted.read_text().split())
        assert file.read_text() == "*:*:*:mlflow:old\n"
        content = json.dumps({"username": "mlflow", "password": "new"})
        secrets_manager.put_secret_value(SecretId=arn, SecretString=content)
        eventually(lambda: file.read_text() == "*:*:*:mlflow:new\n", "the new password")
        assert _lives(follower)
    eventually(lambda: not _lives(follower), "the follower's end")


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
