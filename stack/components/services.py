"""Services that are reached from outside of the cluster."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServicePortArgsDict

from stack.clouds.contract import Exposure
from stack.placement import OURS, App


@dataclass(frozen=True, slots=True)
class Exposed:
    """An application's Service, and its URL from outside.

    Attributes:
        service: The Service, as pods reach it.
        url: The URL from outside.
    """

    service: Service
    url: pulumi.Output[str]


def exposed_service(name: str, app: App, exposure: Exposure, port: int, *, parent: pulumi.Resource) -> Exposed:
    """A Service in front of an application's port `http`, and what makes it reachable.

    Args:
        name: The resource's name.
        app: The application.
        exposure: How it is reached.
        port: The Service's own port.
        parent: The component it belongs to.
    """
    http: ServicePortArgsDict = {"name": "http", "port": port, "target_port": "http"}
    if exposure.node_port is not None:
        http["node_port"] = exposure.node_port
    service = Service(
        name,
        metadata={**app.metadata, "annotations": {**OURS, **exposure.annotations}},
        spec={
            "type": "ClusterIP" if exposure.node_port is None else "NodePort",
            "selector": app.selector,
            "ports": [http],
        },
        # A node port is free once the Service that had it is gone.
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=exposure.node_port is not None),
    )
    outside = service
    if (balancer := exposure.load_balancer) is not None:
        outside = Service(
            f"{name}-outside",
            metadata={**app.metadata, "annotations": {**OURS, **balancer.annotations}},
            spec={
                "type": "LoadBalancer",
                "selector": app.selector,
                "load_balancer_source_ranges": list(balancer.sources),
                "ports": [
                    {"name": each, "port": number, "target_port": "http"} for each, number in balancer.ports.items()
                ],
            },
            opts=pulumi.ResourceOptions(parent=parent),
        )
    return Exposed(service, exposure.url(outside))
