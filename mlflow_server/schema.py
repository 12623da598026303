"""The database's tables, brought up to the version of the MLflow that is here."""

import argparse
import subprocess
from collections.abc import Mapping, Sequence


def upgrade(arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Make the tables or bring them up to date; of tables that are, nothing changes.

    Args:
        arguments: The database's URI, and `--login` for the tables of users and passwords too.
        environment: May have DATABASE_ADMIN_URI and DATABASE_ADMIN_PASSWORD, as whom DATABASE_USER is first given the
            right to make tables, which new databases grant to their owners only.

    Raises:
        subprocess.CalledProcessError: MLflow's own command failed; it has said why.
    """
    parser = argparse.ArgumentParser("upgrade")
    parser.add_argument("uri")
    parser.add_argument("--login", action="store_true")
    asked = parser.parse_args(arguments)
    if "DATABASE_ADMIN_URI" in environment:
        _grant(environment)
    # MLflow's own tables first: its command takes a database with other tables for one that is not empty.
    subprocess.run(["mlflow", "db", "upgrade", asked.uri], check=True, env=dict(environment))
    if asked.login:
        users = ["python", "-m", "mlflow.server.auth", "db", "upgrade", "--url", asked.uri]
        subprocess.run(users, check=True, env=dict(environment))


def _grant(environment: Mapping[str, str]) -> None:
    import sqlalchemy  # noqa: PLC0415 - only where an administrator is there

    arguments = {"password": environment["DATABASE_ADMIN_PASSWORD"]}
    engine = sqlalchemy.create_engine(environment["DATABASE_ADMIN_URI"], connect_args=arguments)
    user = engine.dialect.identifier_preparer.quote(environment["DATABASE_USER"])
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"GRANT USAGE, CREATE ON SCHEMA public TO {user}"))
    engine.dispose()
