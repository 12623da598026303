"""MLflow: the tracking server and model registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import ContainerArgsDict, EnvVarArgsDict, Service

from stack.clouds.contract import Bucket, Database, Exposure, SecretKey
from stack.components.credentials import Credentials, CredentialsArgs, new_password
from stack.components.mlflow_server import PORT, database_uri, server_arguments, upgrade_arguments
from stack.components.pods import APP_USER, environment, http_probe, pod_template, resources
from stack.components.services import exposed_service
from stack.placement import App, Placement

USER = "admin"
_SCRATCH = {"/tmp": "1Gi"}  # noqa: S108 - a volume of the pod's own; artifacts pass through it

KeepSecrets = Callable[[App, Mapping[str, str]], pulumi.Output[Mapping[str, str]] | None]


@dataclass(frozen=True, slots=True)
class MlflowArgs:
    """Args of `Mlflow`.

    Attributes:
        placement: Where it goes.
        image: The image of `mlflow_server/`, by digest.
        database: Where it keeps runs, models, versions and aliases.
        bucket: Where it keeps artifacts.
        exposure: How it is reached from the user's machine.
        keep_secrets: The cloud's own store of secrets; see `Cloud.keep_secrets`.
        login: Whether it asks for user and password.
    """

    placement: Placement
    image: pulumi.Input[str]
    database: Database[SecretKey]
    bucket: Bucket[SecretKey]
    exposure: Exposure
    keep_secrets: KeepSecrets
    login: bool


class Mlflow(pulumi.ComponentResource):
    """MLflow with metadata in Postgres and artifacts in S3, which it hands out itself: clients need no other address.

    Attributes:
        url: Its URL, as pods in the cluster see it; known once it answers.
        external_url: Its URL, as the user's machine sees it.
        login: Where its user and password are; None where it asks for none.
        password: The password, a secret; empty where it asks for none.
    """

    def __init__(self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:models:Mlflow", name, None, opts)
        app = args.placement.app("mlflow", component="model-registry")
        exposed = exposed_service(name, app, args.exposure, PORT, parent=self)
        self.external_url = exposed.url
        credentials = self._credentials(name, app, args) if args.login else None
        self.login = None if credentials is None else (credentials.key("username"), credentials.key("password"))
        self.password = pulumi.Output.from_input("") if credentials is None else credentials.value("password")
        writing = args.bucket.access("mlflow", True)
        variables = environment(
            {
                "MLFLOW_S3_ENDPOINT_URL": args.bucket.endpoint,
                "AWS_DEFAULT_REGION": args.bucket.region,
                **args.database.access.variables,
                **writing.variables,
                **({"MLFLOW_AUTH_DATABASE_URI": database_uri(args.database)} if args.login else {}),
            },
            {
                **args.database.access.secrets,
                **writing.secrets,
                **({} if credentials is None else _secrets(credentials)),
            },
        )
        preparing = environment(args.database.preparing.variables, args.database.preparing.secrets)
        # The one who asks for the bucket last has all rights given.
        identity = writing.identity or args.database.access.identity
        upgrade = self._upgrade(name, args, [*variables, *preparing], identity)
        container: ContainerArgsDict = {
            "name": "mlflow",
            "image": args.image,
            "args": server_arguments(
                args.database, args.bucket, self._allowed_hosts(args, exposed.service), login=args.login
            ),
            "env": variables,
            "ports": [{"name": "http", "container_port": PORT}],
            "resources": resources(cpu="100m", cpu_limit="1", memory="512Mi", memory_limit="1Gi"),
            "startup_probe": http_probe("/health", period_seconds=2, failures=120),
            "liveness_probe": http_probe("/health", period_seconds=20, failures=3),
            "readiness_probe": http_probe("/health", period_seconds=5, failures=2),
        }
        deployment = Deployment(
            name,
            metadata=app.metadata,
            spec={
                "replicas": 1,
                # One at a time: it has its tables to itself.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": app.selector},
                "template": pod_template(
                    app,
                    container,
                    user=APP_USER,
                    writable=_SCRATCH,
                    service_account=identity,
                ),
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[upgrade]),
        )
        self.url = pulumi.Output.all(exposed.service.metadata.name, app.namespace, deployment.id).apply(
            lambda known: f"http://{known[0]}.{known[1]}.svc:{PORT}"
        )
        self.register_outputs({"url": self.url, "externalUrl": self.external_url})

    def _credentials(self, name: str, app: App, args: MlflowArgs) -> Credentials:
        entries = {"username": USER, "password": new_password(), "session-key": new_password()}
        kept = args.keep_secrets(app, entries)
        return Credentials(name, CredentialsArgs(app, entries, kept), pulumi.ResourceOptions(parent=self))

    def _upgrade(
        self, name: str, args: MlflowArgs, variables: list[EnvVarArgsDict], identity: pulumi.Input[str] | None
    ) -> Job:
        """A Job that brings the tables up to date; of a new image it is a new one, which the server waits for."""
        app = args.placement.app("mlflow-upgrade", component="schema-upgrade")
        return Job(
            f"{name}-upgrade",
            metadata=app.metadata,
            spec={
                "backoff_limit": 3,
                "active_deadline_seconds": 1800,
                "template": pod_template(
                    app,
                    {
                        "name": "upgrade",
                        "image": args.image,
                        "args": upgrade_arguments(args.database, login=args.login),
                        "env": variables,
                        "resources": resources(cpu="100m", cpu_limit="1", memory="256Mi", memory_limit="1Gi"),
                    },
                    user=APP_USER,
                    writable=_SCRATCH,
                    restart_policy="Never",
                    service_account=identity,
                ),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _allowed_hosts(self, args: MlflowArgs, service: Service) -> pulumi.Output[str]:
        """The Host headers that clients send; all others are refused, which keeps foreign web pages out."""
        name, namespace = service.metadata.name, args.placement.namespace
        in_cluster = [
            pulumi.Output.concat(name, f":{PORT}"),
            pulumi.Output.concat(name, ".", namespace, f":{PORT}"),
            pulumi.Output.concat(name, ".", namespace, f".svc:{PORT}"),
            pulumi.Output.concat(name, ".", namespace, f".svc.cluster.local:{PORT}"),
        ]
        external = self.external_url.apply(lambda url: url.partition("://")[2])
        forwarded = ["localhost:*", "127.0.0.1:*"]
        return pulumi.Output.all(*in_cluster, external, *forwarded).apply(",".join)


def _secrets(credentials: Credentials) -> dict[str, SecretKey]:
    return {
        "MLFLOW_AUTH_ADMIN_USERNAME": credentials.key("username"),
        "MLFLOW_AUTH_ADMIN_PASSWORD": credentials.key("password"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": credentials.key("session-key"),
    }
