"""The configuration of MLflow's basic authentication. Source: MLflow, "Username and Password Authentication"."""

import configparser
from collections.abc import MutableMapping
from pathlib import Path


def provide(environment: MutableMapping[str, str], folder: Path) -> None:
    """Write it, if the server is to ask for user and password, which the environment has.

    Args:
        environment: Has MLFLOW_AUTH_DATABASE_URI, or not; is given MLFLOW_AUTH_CONFIG_PATH.
        folder: A folder of this process's own.
    """
    if uri := environment.get("MLFLOW_AUTH_DATABASE_URI"):
        config = configparser.ConfigParser(interpolation=None)
        # Whoever has a user may look; more is given by name.
        config["mlflow"] = {"default_permission": "READ", "database_uri": uri}
        file = folder / "basic-auth.ini"
        with file.open("w") as written:
            config.write(written)
        environment["MLFLOW_AUTH_CONFIG_PATH"] = str(file)
