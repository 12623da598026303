"""The map: which component gets whose output.

cluster -> namespace -> database, bucket -> mlflow -> example model -> inference
registry -> images -----------------------> mlflow,   example model,   inference
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pulumi
import pulumi_docker_build as docker_build
from pulumi_kubernetes.core.v1 import Namespace

from stack.clouds.contract import Cloud
from stack.components.example_model import ExampleModel, ExampleModelArgs
from stack.components.image import BuildEnvironment, Image, ImageArgs
from stack.components.inference import Inference, InferenceArgs
from stack.components.mlflow import Mlflow, MlflowArgs
from stack.placement import Placement, platform_labels
from stack.settings import Settings


@dataclass(frozen=True, slots=True)
class Platform:
    """What there is once all is up; the stack's outputs, of the same names on every cloud."""

    inference_url: pulumi.Output[str]
    mlflow_url: pulumi.Output[str]
    model_name: str
    image_ref: pulumi.Output[str]
    namespace: pulumi.Output[str]
    kubeconfig_path: str
    registry: str


def build_platform(settings: Settings, stack: str) -> Platform:
    """Declare everything.

    Args:
        settings: What the user chose.
        stack: The stack's name, with which all that is in the cluster is labelled.
    """
    cloud = _connect(settings)
    in_cluster = pulumi.ResourceOptions(providers=[cloud.cluster.provider])
    namespace = Namespace(
        "platform",
        metadata={"labels": {"app.kubernetes.io/name": "inference-platform", **platform_labels(stack)}},
        opts=pulumi.ResourceOptions(provider=cloud.cluster.provider),
    )
    placement = Placement(namespace.metadata.name, stack)
    images = _Images(settings, cloud.registry.prefix)

    mlflow = Mlflow(
        "mlflow",
        MlflowArgs(
            placement=placement,
            image=images.build("mlflow", "mlflow_server/Dockerfile").ref,
            database=cloud.database("mlflow", placement),
            bucket=cloud.bucket("mlflow", placement),
            exposure=cloud.mlflow_exposure,
        ),
        in_cluster,
    )
    model_name = pulumi.Output.from_input(settings.model_name)
    if settings.example_model:
        # A pod is ready once it serves a model, so there had better be one.
        model_name = ExampleModel(
            "example-model",
            ExampleModelArgs(
                placement=placement,
                image=images.build("publisher", "model_publisher/Dockerfile").ref,
                mlflow_url=mlflow.url,
                model_name=settings.model_name,
                model_alias=settings.model_alias,
            ),
            in_cluster,
        ).published
    image = images.build("inference", "inference_app/Dockerfile")
    inference = Inference(
        "inference",
        InferenceArgs(
            placement=placement,
            image=image.ref,
            mlflow_url=mlflow.url,
            model_name=model_name,
            model_alias=settings.model_alias,
            replicas=settings.replicas,
            cpu=settings.inference_cpu,
            cpu_limit=settings.inference_cpu_limit,
            memory=settings.inference_memory,
            exposure=cloud.inference_exposure,
        ),
        in_cluster,
    )
    return Platform(
        inference_url=inference.external_url,
        mlflow_url=mlflow.external_url,
        model_name=settings.model_name,
        image_ref=image.ref,
        namespace=namespace.metadata.name,
        kubeconfig_path=cloud.cluster.kubeconfig_path,
        registry=cloud.registry.prefix,
    )


def _connect(settings: Settings) -> Cloud:
    """The chosen cloud; the others' SDKs, which take seconds to import, stay where they are."""
    return cast("Cloud", importlib.import_module(f"stack.clouds.{settings.cloud}").connect(settings))


class _Images:
    """Builds this repository's images, all in the same way."""

    def __init__(self, settings: Settings, prefix: str) -> None:
        self._prefix = prefix
        self._tag = settings.image_tag
        self._environment = BuildEnvironment(
            builder=settings.builder,
            platform=settings.platform,
            base_image=settings.python_image,
            pip_index_url=settings.pip_index_url,
            ca_bundle=Path(settings.ca_bundle).read_text() if settings.ca_bundle else "",
        )
        self._options = pulumi.ResourceOptions(providers=[docker_build.Provider("images")])

    def build(self, name: str, dockerfile: str) -> Image:
        args = ImageArgs(f"{self._prefix}/{name}", self._tag, dockerfile, self._environment)
        return Image(name, args, self._options)
