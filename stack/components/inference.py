"""The inference service."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.core.v1 import ContainerArgsDict, EnvVarArgsDict
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from stack.clouds.contract import Bucket, Exposure, GpuNodes, SecretKey
from stack.components.gpu_serving import GpuServing, GpuServingArgs
from stack.components.pods import APP_USER, environment, http_probe, pod_template, resources
from stack.components.services import exposed_service
from stack.placement import Placement

PORT = 8080
_CACHE = "/var/cache/models"
MODEL_FOLDER = "/models"
# Requests keep coming until every node has heard that the pod is going; then what is in flight gets 25 s.
_DEREGISTRATION_SECONDS = 5
_TERMINATION_GRACE_SECONDS = 40
_START_SECONDS = 120
# A CUDA session compiles kernels and fills the GPU's memory before the first answer.
_GPU_START_SECONDS = 900
_GPU_NODE_SECONDS = 900


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A model of MLflow's registry: what the alias points at, and what it will point at.

    Attributes:
        url: MLflow's URL.
        alias: The alias.
        login: Where MLflow's user and password are; None where it asks for none.
    """

    url: pulumi.Input[str]
    alias: str
    login: tuple[SecretKey, SecretKey] | None


@dataclass(frozen=True, slots=True)
class StoredModel:
    """One file of a bucket, fetched and verified before the server starts.

    Attributes:
        bucket: The bucket.
        key: The file's key.
        sha256: The SHA-256 of its content, in hexadecimal.
    """

    bucket: Bucket[SecretKey]
    key: str
    sha256: str


@dataclass(frozen=True, slots=True)
class BakedModel:
    """A model that is in the image, in `MODEL_FOLDER`."""


ModelStorage = RegisteredModel | StoredModel | BakedModel


@dataclass(frozen=True, slots=True)
class InferenceArgs:
    """Args of `Inference`.

    Attributes:
        placement: Where it goes.
        image: The image of `inference_app/`, by digest.
        model_name: The model to serve.
        storage: Where the model is.
        replicas: How many pods.
        cpu: The processors each pod is sure of.
        cpu_limit: The processors each pod may use.
        memory: The memory of each pod.
        gpu: The nodes on whose GPUs models run; None to run them on processors.
        exposure: How it is reached from the user's machine.
    """

    placement: Placement
    image: pulumi.Input[str]
    model_name: pulumi.Input[str]
    storage: ModelStorage
    replicas: int
    cpu: str
    cpu_limit: str
    memory: str
    gpu: GpuNodes | None
    exposure: Exposure


class Inference(pulumi.ComponentResource):
    """Pods that answer predictions; a new version of them replaces the old one without a request lost.

    Attributes:
        external_url: Its URL, as the user's machine sees it.
    """

    def __init__(self, name: str, args: InferenceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:serving:Inference", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        app = args.placement.app("inference", component="predictor")
        gpu_serving = None
        if args.gpu is not None:
            gpu_serving = GpuServing(name, GpuServingArgs(args.placement, args.image, args.gpu), child)
        before, service_account = _fetch(args)
        start_seconds = _START_SECONDS if args.gpu is None else _GPU_START_SECONDS
        Deployment(
            name,
            metadata=app.metadata,
            spec={
                "replicas": args.replicas,
                "strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": 0, "max_surge": 1}},
                "selector": {"match_labels": app.selector},
                # Kubernetes' own 10 minutes, or what a GPU takes and a node with one besides.
                "progress_deadline_seconds": 600 if args.gpu is None else _GPU_START_SECONDS + _GPU_NODE_SECONDS,
                "template": pod_template(
                    app,
                    {
                        "name": "inference",
                        "image": args.image,
                        "env": _environment(args),
                        "ports": [{"name": "http", "container_port": PORT}],
                        "resources": resources(
                            cpu=args.cpu,
                            cpu_limit=args.cpu_limit,
                            memory=args.memory,
                            memory_limit=args.memory,
                            gpu=args.gpu,
                        ),
                        "startup_probe": http_probe("/healthz", period_seconds=1, failures=start_seconds),
                        "liveness_probe": http_probe("/healthz", period_seconds=10, failures=3),
                        "readiness_probe": http_probe("/readyz", period_seconds=2, failures=2, timeout_seconds=2),
                        "lifecycle": {"pre_stop": {"sleep": {"seconds": _DEREGISTRATION_SECONDS}}},
                    },
                    user=APP_USER,
                    writable={_CACHE: "1Gi"} | ({} if before is None else {MODEL_FOLDER: "10Gi"}),
                    termination_grace_seconds=_TERMINATION_GRACE_SECONDS,
                    before=before,
                    service_account=service_account,
                    gpu=args.gpu,
                    priority_class=None if gpu_serving is None else gpu_serving.priority_class,
                ),
            },
            opts=child,
        )
        PodDisruptionBudget(
            name,
            metadata=app.metadata,
            # Not a minimum that must stay: with one replica that would keep a node from ever being drained.
            spec={"max_unavailable": 1, "selector": {"match_labels": app.selector}},
            opts=child,
        )
        self.external_url = exposed_service(name, app, args.exposure, 80, parent=self).url
        self.register_outputs({"externalUrl": self.external_url})


def model_variables(name: pulumi.Input[str], storage: ModelStorage) -> dict[str, pulumi.Input[str]]:
    """The server's variables that say which model it serves, and from where."""
    if isinstance(storage, RegisteredModel):
        return {
            "INFERENCE_MODEL_NAME": name,
            "INFERENCE_MODEL_ALIAS": storage.alias,
            "INFERENCE_MLFLOW_URL": storage.url,
        }
    source = f"image://{MODEL_FOLDER}"
    return {
        "INFERENCE_MODELS": pulumi.Output.from_input(name).apply(
            lambda known: json.dumps([{"name": known, "source": source}])
        )
    }


def _environment(args: InferenceArgs) -> list[EnvVarArgsDict]:
    variables = {
        **model_variables(args.model_name, args.storage),
        "INFERENCE_CACHE_DIR": _CACHE,
        "INFERENCE_PORT": str(PORT),
        **({} if args.gpu is None else {"INFERENCE_EXECUTION_PROVIDERS": json.dumps(["cuda", "cpu"])}),
    }
    secrets: Mapping[str, SecretKey] = {}
    if isinstance(args.storage, RegisteredModel) and args.storage.login is not None:
        user, password = args.storage.login
        secrets = {"INFERENCE_MLFLOW_USERNAME": user, "INFERENCE_MLFLOW_PASSWORD": password}
    return environment(variables, secrets)


def _fetch(args: InferenceArgs) -> tuple[ContainerArgsDict | None, pulumi.Input[str] | None]:
    """The container that fetches the model first, and what the pod runs as for that; none where there is nothing to."""
    storage = args.storage
    if not isinstance(storage, StoredModel):
        return None, None
    access = storage.bucket.access("inference", False)
    container: ContainerArgsDict = {
        "name": "fetch-model",
        "image": args.image,
        "command": ["python", "-m", "inference_app.fetch"],
        "args": [pulumi.Output.concat("s3://", storage.bucket.name, "/", storage.key), storage.sha256, MODEL_FOLDER],
        "env": environment(
            {
                "AWS_ENDPOINT_URL_S3": storage.bucket.endpoint,
                "AWS_REGION": storage.bucket.region,
                **access.variables,
            },
            access.secrets,
        ),
        "resources": resources(cpu="100m", cpu_limit="1", memory="128Mi", memory_limit="256Mi"),
    }
    return container, access.identity
