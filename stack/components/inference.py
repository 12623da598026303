"""The inference service."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import Deployment
from pulumi_kubernetes.policy.v1 import PodDisruptionBudget

from stack.clouds.contract import Exposure
from stack.components.pods import APP_USER, environment, http_probe, pod_template, resources
from stack.components.services import exposed_service
from stack.placement import Placement

_PORT = 8080
_CACHE = "/var/cache/models"
# Requests keep coming until every node has heard that the pod is going; then what is in flight gets 25 s.
_DEREGISTRATION_SECONDS = 5
_TERMINATION_GRACE_SECONDS = 40


@dataclass(frozen=True, slots=True)
class InferenceArgs:
    """Args of `Inference`.

    Attributes:
        placement: Where it goes.
        image: The image of `inference_app/`, by digest.
        mlflow_url: Where models come from.
        model_name: The registered model to serve.
        model_alias: The alias whose version is served.
        replicas: How many pods.
        cpu: The processors each pod is sure of.
        cpu_limit: The processors each pod may use.
        memory: The memory of each pod.
        exposure: How it is reached from the user's machine.
    """

    placement: Placement
    image: pulumi.Input[str]
    mlflow_url: pulumi.Input[str]
    model_name: pulumi.Input[str]
    model_alias: str
    replicas: int
    cpu: str
    cpu_limit: str
    memory: str
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
        Deployment(
            name,
            metadata=app.metadata,
            spec={
                "replicas": args.replicas,
                "strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": 0, "max_surge": 1}},
                "selector": {"match_labels": app.selector},
                "template": pod_template(
                    app,
                    {
                        "name": "inference",
                        "image": args.image,
                        "env": environment(
                            {
                                "INFERENCE_MODEL_NAME": args.model_name,
                                "INFERENCE_MODEL_ALIAS": args.model_alias,
                                "INFERENCE_MLFLOW_URL": args.mlflow_url,
                                "INFERENCE_CACHE_DIR": _CACHE,
                                "INFERENCE_PORT": str(_PORT),
                            }
                        ),
                        "ports": [{"name": "http", "container_port": _PORT}],
                        "resources": resources(
                            cpu=args.cpu, cpu_limit=args.cpu_limit, memory=args.memory, memory_limit=args.memory
                        ),
                        "startup_probe": http_probe("/healthz", period_seconds=1, failures=120),
                        "liveness_probe": http_probe("/healthz", period_seconds=10, failures=3),
                        "readiness_probe": http_probe("/readyz", period_seconds=2, failures=2, timeout_seconds=2),
                        "lifecycle": {"pre_stop": {"sleep": {"seconds": _DEREGISTRATION_SECONDS}}},
                    },
                    user=APP_USER,
                    writable={_CACHE: "1Gi"},
                    termination_grace_seconds=_TERMINATION_GRACE_SECONDS,
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
        service = exposed_service(name, app, args.exposure, 80, parent=self)
        self.external_url = args.exposure.url(service)
        self.register_outputs({"externalUrl": self.external_url})
