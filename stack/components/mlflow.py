"""MLflow: the tracking server and model registry."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import Service

from stack.clouds.contract import Bucket, Database, Exposure
from stack.components.pods import APP_USER, environment, http_probe, pod_template, resources
from stack.components.services import exposed_service
from stack.placement import Placement


@dataclass(frozen=True, slots=True)
class MlflowArgs:
    """Args of `Mlflow`.

    Attributes:
        placement: Where it goes.
        image: The image of `mlflow_server/`, by digest.
        database: Where it keeps runs, models, versions and aliases.
        bucket: Where it keeps artifacts.
        exposure: How it is reached from the user's machine.
    """

    placement: Placement
    image: pulumi.Input[str]
    database: Database
    bucket: Bucket
    exposure: Exposure


class Mlflow(pulumi.ComponentResource):
    """MLflow with metadata in Postgres and artifacts in S3, which it hands out itself: clients need no other address.

    Attributes:
        url: Its URL, as pods in the cluster see it; known once it answers.
        external_url: Its URL, as the user's machine sees it.
    """

    _PORT = 5000

    def __init__(self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:models:Mlflow", name, None, opts)
        app = args.placement.app("mlflow", component="model-registry")
        service = exposed_service(name, app, args.exposure, self._PORT, parent=self)
        self.external_url = args.exposure.url(service)
        deployment = Deployment(
            name,
            metadata=app.metadata,
            spec={
                "replicas": 1,
                # One at a time, for a new version may change the database's tables.
                "strategy": {"type": "Recreate"},
                "selector": {"match_labels": app.selector},
                "template": pod_template(
                    app,
                    {
                        "name": "mlflow",
                        "image": args.image,
                        "args": [
                            "server",
                            "--host=0.0.0.0",
                            f"--port={self._PORT}",
                            "--workers=1",
                            "--serve-artifacts",
                            pulumi.Output.concat("--artifacts-destination=s3://", args.bucket.name),
                            # Who it is and how it proves it is in libpq's own variables.
                            pulumi.Output.concat(
                                "--backend-store-uri=postgresql+psycopg2://",
                                args.database.host,
                                f":{args.database.port}/{args.database.name}",
                            ),
                            pulumi.Output.concat("--allowed-hosts=", self._allowed_hosts(args, service)),
                        ],
                        "env": environment(
                            {
                                "MLFLOW_S3_ENDPOINT_URL": args.bucket.endpoint,
                                "AWS_DEFAULT_REGION": args.bucket.region,
                            },
                            {
                                "PGUSER": args.database.user,
                                "PGPASSWORD": args.database.password,
                                "AWS_ACCESS_KEY_ID": args.bucket.access_key,
                                "AWS_SECRET_ACCESS_KEY": args.bucket.secret_key,
                            },
                        ),
                        "ports": [{"name": "http", "container_port": self._PORT}],
                        "resources": resources(cpu="100m", cpu_limit="1", memory="512Mi", memory_limit="1Gi"),
                        # The first start makes the tables, half a hundred migrations.
                        "startup_probe": http_probe("/health", period_seconds=2, failures=120),
                        "liveness_probe": http_probe("/health", period_seconds=20, failures=3),
                        "readiness_probe": http_probe("/health", period_seconds=5, failures=2),
                    },
                    user=APP_USER,
                    writable={"/tmp": "1Gi"},  # noqa: S108 - a volume of the pod's own; artifacts pass through it
                ),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.url = pulumi.Output.all(service.metadata.name, app.namespace, deployment.id).apply(
            lambda known: f"http://{known[0]}.{known[1]}.svc:{self._PORT}"
        )
        self.register_outputs({"url": self.url, "externalUrl": self.external_url})

    def _allowed_hosts(self, args: MlflowArgs, service: Service) -> pulumi.Output[str]:
        """The Host headers that clients send; all others are refused, which keeps foreign web pages out."""
        name, namespace = service.metadata.name, args.placement.namespace
        in_cluster = [
            pulumi.Output.concat(name, f":{self._PORT}"),
            pulumi.Output.concat(name, ".", namespace, f":{self._PORT}"),
            pulumi.Output.concat(name, ".", namespace, f".svc:{self._PORT}"),
            pulumi.Output.concat(name, ".", namespace, f".svc.cluster.local:{self._PORT}"),
        ]
        external = self.external_url.apply(lambda url: url.removeprefix("http://"))
        forwarded = ["localhost:*", "127.0.0.1:*"]
        return pulumi.Output.all(*in_cluster, external, *forwarded).apply(",".join)
