"""A real S3 store (SeaweedFS) with one bucket."""
# boto3 ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.app.support.processes import Process, free_port

_ACCESS_KEY = "mlflow"
_SECRET_KEY = "only-for-this-test"
_SERVICES = ("master", "volume", "filer", "s3")


@dataclass(frozen=True)
class ObjectStore:
    """A bucket and how to reach it.

    Attributes:
        bucket: Its name.
        environment: What a process needs to use it through boto3.
        client: A boto3 client.
    """

    bucket: str
    environment: dict[str, str]
    client: Any

    def overwrite(self, key: str, content: bytes) -> None:
        """Put other content under a key that is there."""
        self.client.head_object(Bucket=self.bucket, Key=key)
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)


@contextmanager
def object_store(folder: Path) -> Generator[ObjectStore]:
    """Run a store; only who has its key can use it."""
    ports = {f"{service}.port{kind}": free_port() for service in _SERVICES for kind in ("", ".grpc")}
    identity = {
        "name": "mlflow",
        "credentials": [{"accessKey": _ACCESS_KEY, "secretKey": _SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    access = folder / "s3.json"
    access.write_text(json.dumps({"identities": [identity]}))
    command = [
        str(Path(sys.executable).parent / "weed"),
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={access}",
        "-master.volumeSizeLimitMB=64",
        "-master.telemetry=false",
        "-volume.max=20",
        *(f"-{name}={port}" for name, port in ports.items()),
    ]
    endpoint = f"http://127.0.0.1:{ports['s3.port']}"
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=_ACCESS_KEY,
        aws_secret_access_key=_SECRET_KEY,
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 1}, connect_timeout=1, read_timeout=5),
    )
    store = ObjectStore(
        bucket="models",
        client=client,
        environment={
            "AWS_ACCESS_KEY_ID": _ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_S3_ENDPOINT_URL": endpoint,
        },
    )
    try:
        with Process(command, {"HOME": str(folder)}, folder / "weed.log") as server:
            server.await_ready(lambda: _can_write(store))
            yield store
    finally:
        client.close()
        # The store puts them there whatever it is told.
        for port in ports.values():
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108
                socket.unlink(missing_ok=True)


def _can_write(store: ObjectStore) -> bool:
    try:
        store.client.create_bucket(Bucket=store.bucket)
        store.client.put_object(Bucket=store.bucket, Key="probe", Body=b"")
    except (BotoCoreError, ClientError):
        return False
    return True
