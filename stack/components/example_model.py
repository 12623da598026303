"""The example model, published by a Job."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.batch.v1 import Job
from pulumi_kubernetes.core.v1 import ContainerArgsDict

from stack.clouds.contract import SecretKey
from stack.components.pods import APP_USER, environment, pod_template, resources
from stack.placement import Placement


@dataclass(frozen=True, slots=True)
class ExampleModelArgs:
    """Args of `ExampleModel`.

    Attributes:
        placement: Where the Job runs.
        image: The image of `model_publisher/`, by digest.
        mlflow_url: Where it publishes.
        model_name: The registered model.
        model_alias: The alias; where it points at a version already, nothing is published.
        login: Where MLflow's user and password are; None where it asks for none.
    """

    placement: Placement
    image: pulumi.Input[str]
    mlflow_url: pulumi.Input[str]
    model_name: str
    model_alias: str
    login: tuple[SecretKey, SecretKey] | None


class ExampleModel(pulumi.ComponentResource):
    """A model under the alias, so that a new platform has something to serve.

    Attributes:
        published: The registered model's name; known once there is a version under the alias.
    """

    def __init__(self, name: str, args: ExampleModelArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:models:ExampleModel", name, None, opts)
        app = args.placement.app("model-publisher", component="example-model")
        container: ContainerArgsDict = {
            "name": "publisher",
            "image": args.image,
            "args": [
                pulumi.Output.concat("--mlflow-url=", args.mlflow_url),
                f"--name={args.model_name}",
                f"--alias={args.model_alias}",
                "--if-absent",
            ],
            "resources": resources(cpu="100m", cpu_limit="1", memory="256Mi", memory_limit="1Gi"),
        }
        if args.login is not None:
            user, password = args.login
            variables = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password}
            container["env"] = environment({}, variables)
        job = Job(
            name,
            metadata=app.metadata,
            spec={
                "backoff_limit": 3,
                "active_deadline_seconds": 600,
                "template": pod_template(
                    app,
                    container,
                    user=APP_USER,
                    writable={"/tmp": "256Mi"},  # noqa: S108 - a volume of the pod's own
                    restart_policy="Never",
                ),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.published = job.id.apply(lambda _: args.model_name)
        self.register_outputs({"published": self.published})
