"""Postgres in a pod, for clusters without a managed one."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import ProbeArgsDict

from stack.components.credentials import Credentials, CredentialsArgs, new_password
from stack.components.pods import environment, pod_template, resources
from stack.components.stateful import DATA, stateful_server
from stack.placement import Placement

_DATA = "/var/lib/postgresql/data"
_USER = 999  # `postgres` in the official image


@dataclass(frozen=True, slots=True)
class PostgresArgs:
    """Args of `Postgres`.

    Attributes:
        placement: Where it goes.
        image: An image with the official one's contract.
        database: The database to make; its owner has the same name.
    """

    placement: Placement
    image: str
    database: str


class Postgres(pulumi.ComponentResource):
    """One Postgres server with one database.

    Attributes:
        port: The port.
        host: The host name, as pods in the cluster see it.
        user: Where the owner's name is.
        password: Where the owner's password is.
    """

    port = 5432

    def __init__(self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:data:Postgres", name, None, opts)
        app = args.placement.app("postgres", component="database")
        entries = {"username": args.database, "password": new_password()}
        credentials = Credentials(name, CredentialsArgs(app, entries), pulumi.ResourceOptions(parent=self))
        self.user, self.password = credentials.key("username"), credentials.key("password")
        pod = pod_template(
            app,
            {
                "name": "postgres",
                "image": args.image,
                "env": environment(
                    # A folder in the volume: the volume's own may have a `lost+found`, which initdb refuses.
                    {"POSTGRES_DB": args.database, "PGDATA": f"{_DATA}/pgdata"},
                    {"POSTGRES_USER": self.user, "POSTGRES_PASSWORD": self.password},
                ),
                "ports": [{"name": "postgres", "container_port": self.port}],
                "resources": resources(cpu="50m", cpu_limit="1", memory="128Mi", memory_limit="512Mi"),
                "startup_probe": _probe(period_seconds=2, failures=60),
                "liveness_probe": _probe(period_seconds=20, failures=3),
                "readiness_probe": _probe(period_seconds=5, failures=2),
            },
            user=_USER,
            writable={"/tmp": "64Mi", "/var/run/postgresql": "1Mi"},  # noqa: S108 - a volume of the pod's own
            claims={_DATA: DATA},
        )
        self.host = stateful_server(name, app, pod, port=self.port, parent=self)
        self.register_outputs({"host": self.host})


def _probe(*, period_seconds: int, failures: int) -> ProbeArgsDict:
    # By TCP: while the image's first start sets the database up, the server is there on its socket alone.
    return {
        "exec_": {"command": ["pg_isready", "--quiet", "--host=127.0.0.1"]},
        "period_seconds": period_seconds,
        "failure_threshold": failures,
        "timeout_seconds": 5,
    }
