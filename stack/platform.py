"""The map: which component gets whose output.

cluster -> namespace -> database, bucket -> mlflow -> example model -> inference
registry -> images -----------------------> mlflow,   example model,   inference

Without Kubernetes, the map is `stack.light`.
"""

import importlib
from typing import cast

import pulumi
from pulumi_kubernetes.core.v1 import Namespace

from stack.clouds.contract import Bucket, Cloud, LightCloud, SecretKey
from stack.components.example_model import ExampleModel, ExampleModelArgs
from stack.components.inference import (
    BakedModel,
    Inference,
    InferenceArgs,
    ModelStorage,
    RegisteredModel,
    StoredModel,
)
from stack.components.mlflow import USER, Mlflow, MlflowArgs
from stack.images import Images
from stack.light import build_light
from stack.outputs import Platform
from stack.placement import Placement, platform_labels
from stack.settings import Settings


def build_platform(settings: Settings, stack: str) -> Platform:
    """Declare everything.

    Args:
        settings: What the user chose.
        stack: The stack's name, with which all that is in the cluster is labelled.
    """
    module = importlib.import_module(f"stack.clouds.{settings.cloud}")
    if settings.mode == "light":
        return build_light(settings, cast("LightCloud", module.connect_light(settings)))
    # The other clouds' SDKs, which take seconds to import, stay where they are.
    return _build(settings, cast("Cloud", module.connect(settings)), stack)


def _build(settings: Settings, cloud: Cloud, stack: str) -> Platform:
    in_cluster = pulumi.ResourceOptions(providers=[cloud.cluster.provider])
    namespace = Namespace(
        "platform",
        metadata={"labels": {"app.kubernetes.io/name": "inference-platform", **platform_labels(stack)}},
        opts=pulumi.ResourceOptions(provider=cloud.cluster.provider, depends_on=cloud.cluster.ready),
    )
    placement = Placement(namespace.metadata.name, stack)
    images = Images(settings, cloud.registry)
    database = cloud.database("mlflow", placement)
    bucket = cloud.bucket("mlflow", placement)

    mlflow = Mlflow(
        "mlflow",
        MlflowArgs(
            placement=placement,
            image=images.mlflow().ref,
            database=database,
            bucket=bucket,
            exposure=cloud.mlflow_exposure,
            keep_secrets=cloud.keep_secrets,
            login=settings.mlflow_login,
        ),
        in_cluster,
    )
    model_name = pulumi.Output.from_input(settings.model_name)
    if settings.example_model and settings.model_storage == "mlflow":
        # A pod is ready once it serves a model, so there had better be one.
        model_name = ExampleModel(
            "example-model",
            ExampleModelArgs(
                placement=placement,
                image=images.publisher().ref,
                mlflow_url=mlflow.url,
                model_name=settings.model_name,
                model_alias=settings.model_alias,
                login=mlflow.login,
            ),
            in_cluster,
        ).published
    image = images.inference()
    inference = Inference(
        "inference",
        InferenceArgs(
            placement=placement,
            image=image.ref,
            model_name=model_name,
            storage=_storage(settings, mlflow, bucket),
            replicas=settings.replicas,
            cpu=settings.inference_cpu,
            cpu_limit=settings.inference_cpu_limit,
            memory=settings.inference_memory,
            gpu=cloud.cluster.gpu if settings.inference_device == "gpu" else None,
            exposure=cloud.inference_exposure,
        ),
        in_cluster,
    )
    return Platform(
        inference_url=inference.external_url,
        mlflow_url=mlflow.external_url,
        mlflow_user=USER if settings.mlflow_login else "",
        mlflow_password=mlflow.password,
        model_name=settings.model_name,
        image_ref=image.ref,
        image_digest=image.digest,
        registry=cloud.registry.prefix,
        bucket=bucket.name,
        database_host=database.host,
        cluster_name=cloud.cluster.name,
        namespace=namespace.metadata.name,
        kubeconfig_path=cloud.cluster.kubeconfig_path,
        kubeconfig_command=cloud.cluster.kubeconfig_command,
    )


def _storage(settings: Settings, mlflow: Mlflow, bucket: Bucket[SecretKey]) -> ModelStorage:
    match settings.model_storage:
        case "mlflow":
            return RegisteredModel(mlflow.url, settings.model_alias, mlflow.login)
        case "bucket":
            return StoredModel(bucket, settings.model_key, settings.model_sha256)
        case "image":
            return BakedModel()
