"""The database's password from AWS Secrets Manager, which renews it: libpq reads it anew for every connection.

Source: PostgreSQL, "The Password File"; RDS User Guide, "Password management with Amazon RDS and AWS Secrets Manager".
"""
# boto3 ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import json
import os
import sys
import time
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

_SECONDS = 60


def provide(environment: MutableMapping[str, str], folder: Path) -> None:
    """Write the password where libpq looks, if it is in a secret.

    Args:
        environment: Has DATABASE_SECRET, or not; is given PGPASSFILE.
        folder: A folder of this process's own.

    Raises:
        botocore.exceptions.BotoCoreError: AWS does not answer.
        botocore.exceptions.ClientError: It does not give the secret.
    """
    if secret := environment.get("DATABASE_SECRET"):
        file = folder / "pgpass"
        _write(file, _current(secret))
        environment["PGPASSFILE"] = str(file)


def follow(environment: MutableMapping[str, str], folder: Path) -> None:
    """Leave a process behind that keeps the file up to date until this one ends, whatever this one becomes."""
    server = os.getpid()
    if os.fork():
        return
    while os.getppid() == server:
        time.sleep(_SECONDS)
        try:
            provide(environment, folder)
        # The password at hand may be good for days: whoever is asked now may answer the next time.
        except Exception as error:
            sys.stderr.write(f"the database's password cannot be looked up: {type(error).__name__}: {error}\n")
    os._exit(0)


def _current(secret: str) -> dict[str, Any]:
    import boto3  # noqa: PLC0415 - half a second, for those who have a secret

    answer = boto3.client("secretsmanager").get_secret_value(SecretId=secret)
    return json.loads(answer["SecretString"])


def _write(file: Path, current: dict[str, Any]) -> None:
    """One line for any host, port and database; at once, for others read it."""
    user, password = (str(current[key]).replace("\\", "\\\\").replace(":", "\\:") for key in ("username", "password"))
    part = file.with_suffix(".part")
    part.touch(mode=0o600)
    part.write_text(f"*:*:*:{user}:{password}\n")
    part.rename(file)
