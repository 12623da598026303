"""What pods on GPU nodes need besides a GPU."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apps.v1 import DaemonSet
from pulumi_kubernetes.scheduling.v1 import PriorityClass

from stack.clouds.contract import GpuNodes
from stack.components.pods import APP_USER, pod_template, resources
from stack.placement import OURS, Placement, platform_labels

# Above all that has no class, below the cluster's own. Source: Kubernetes, "Pod Priority and Preemption".
_PRIORITY = 100_000


@dataclass(frozen=True, slots=True)
class GpuServingArgs:
    """Args of `GpuServing`.

    Attributes:
        placement: Where pods go.
        image: The image that every GPU node has before a pod needs it.
        gpu: The nodes.
    """

    placement: Placement
    image: pulumi.Input[str]
    gpu: GpuNodes


class GpuServing(pulumi.ComponentResource):
    """A priority for serving, and the image on every GPU node: it has gigabytes, which a new replica need not wait for.

    Attributes:
        priority_class: The PriorityClass's name.
    """

    def __init__(self, name: str, args: GpuServingArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("inference-platform:serving:GpuServing", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        app = args.placement.app("image-pull", component="image-pull")
        priority = PriorityClass(
            name,
            metadata={
                "labels": {"app.kubernetes.io/name": "inference", **platform_labels(args.placement.instance)},
                "annotations": OURS,
            },
            value=_PRIORITY,
            description="Predictions, before training and batches.",
            opts=child,
        )
        self.priority_class = priority.metadata.name
        DaemonSet(
            f"{name}-image",
            metadata=app.metadata,
            spec={
                "selector": {"match_labels": app.selector},
                # All at once: nobody talks to these pods.
                "update_strategy": {"type": "RollingUpdate", "rolling_update": {"max_unavailable": "100%"}},
                "template": pod_template(
                    app,
                    {
                        "name": "wait",
                        "image": args.image,
                        "command": ["python", "-c", "import signal; signal.sigwait({signal.SIGTERM})"],
                        "resources": resources(cpu="1m", cpu_limit="100m", memory="16Mi", memory_limit="64Mi"),
                    },
                    user=APP_USER,
                    writable={},
                    # No GPU is asked for, but the nodes are the same.
                    gpu=args.gpu,
                ),
            },
            opts=child,
        )
        self.register_outputs({"priorityClass": self.priority_class})
