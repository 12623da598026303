"""Servers that keep their data in one volume."""

import pulumi
from pulumi_kubernetes.apps.v1 import StatefulSet
from pulumi_kubernetes.core.v1 import PodTemplateSpecArgsDict, Service

from stack.placement import App

# The claim's name in the pod.
DATA = "data"
_STORAGE = "5Gi"


def stateful_server(
    name: str, app: App, pod: PodTemplateSpecArgsDict, *, port: int, parent: pulumi.Resource
) -> pulumi.Output[str]:
    """One pod with one volume, and its name in the cluster.

    Args:
        name: The resources' name.
        app: Whose pod it is.
        pod: The pod; it mounts the claim `DATA`.
        port: The port it answers at.
        parent: The component it belongs to.

    Returns:
        Its host name, as pods see it; known once the pod is ready.
    """
    child = pulumi.ResourceOptions(parent=parent)
    service = Service(
        name,
        metadata=app.metadata,
        # Headless: one pod needs no balancing, and Pulumi can hand out the name before the pod is up.
        spec={"cluster_ip": "None", "selector": app.selector, "ports": [{"port": port}]},
        opts=child,
    )
    server = StatefulSet(
        name,
        metadata=app.metadata,
        spec={
            "service_name": service.metadata.name,
            "replicas": 1,
            "selector": {"match_labels": app.selector},
            "template": pod,
            "volume_claim_templates": [
                {
                    "metadata": {"name": DATA, "labels": app.labels},
                    "spec": {"access_modes": ["ReadWriteOnce"], "resources": {"requests": {"storage": _STORAGE}}},
                }
            ],
        },
        opts=child,
    )
    return pulumi.Output.all(service.metadata.name, app.namespace, server.id).apply(
        lambda known: f"{known[0]}.{known[1]}.svc"
    )
