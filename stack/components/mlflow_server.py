"""What an MLflow server is told, the same in a pod and in light mode."""

from collections.abc import Sequence

import pulumi

from stack.clouds.contract import Bucket, Database, S

PORT = 5000


def database_uri(database: Database[S]) -> pulumi.Output[str]:
    """Where metadata is; who asks and how that is proved is in libpq's own variables."""
    return pulumi.Output.concat(
        "postgresql+psycopg2://",
        database.host,
        ":",
        pulumi.Output.from_input(database.port).apply(str),
        "/",
        database.name,
    )


def server_arguments(
    database: Database[S], bucket: Bucket[S], allowed_hosts: pulumi.Input[str], *, login: bool
) -> list[pulumi.Input[str]]:
    """The command line of a server.

    Args:
        database: Where it keeps metadata.
        bucket: Where it keeps artifacts.
        allowed_hosts: The Host headers it answers to, separated by commas.
        login: Whether it asks for user and password.
    """
    return [
        "server",
        "--host=0.0.0.0",
        f"--port={PORT}",
        "--workers=1",
        "--serve-artifacts",
        pulumi.Output.concat("--artifacts-destination=s3://", bucket.name),
        pulumi.Output.concat("--backend-store-uri=", database_uri(database)),
        pulumi.Output.concat("--allowed-hosts=", allowed_hosts),
        *(["--app-name=basic-auth"] if login else []),
    ]


def upgrade_arguments(database: Database[S], *, login: bool) -> Sequence[pulumi.Input[str]]:
    """The command line that brings the tables up to the server's version."""
    return ["upgrade", database_uri(database), *(["--login"] if login else [])]
