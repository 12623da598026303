"""`python -m mlflow_server [--first upgrade ... --] upgrade|server ...`: the image's entry point.

`upgrade URI [--login]` brings the tables up to date; everything else is `mlflow`'s own command line. `--first` does the
one before the other, where nothing else can. The environment says how the database is reached:

DATABASE_CA_PEM, DATABASE_CA_URL
    the certificates with which the database's is verified: themselves, or where they are published
DATABASE_SECRET
    the ARN of the secret of AWS Secrets Manager that has user and password, which change
MLFLOW_AUTH_DATABASE_URI
    where users are kept, if the server asks for user and password
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from mlflow_server import authentication, certificates, password, schema

_SEPARATOR = "--"


def main(arguments: Sequence[str]) -> None:
    """Prepare the environment and become MLflow."""
    folder = Path(os.environ["HOME"])
    certificates.provide(os.environ, folder)
    password.provide(os.environ, folder)
    authentication.provide(os.environ, folder)
    if arguments[:1] == ["--first"]:
        end = list(arguments).index(_SEPARATOR)
        schema.upgrade(arguments[2:end], os.environ)
        arguments = arguments[end + 1 :]
    if arguments[:1] == ["upgrade"]:
        schema.upgrade(arguments[1:], os.environ)
        return
    if "DATABASE_SECRET" in os.environ:
        password.follow(os.environ, folder)
    os.execvp("mlflow", ["mlflow", *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
