"""Services that are reached from outside of the cluster."""

import pulumi
from pulumi_kubernetes.core.v1 import Service, ServicePortArgsDict

from stack.clouds.contract import Exposure
from stack.placement import OURS, App


def exposed_service(name: str, app: App, exposure: Exposure, port: int, *, parent: pulumi.Resource) -> Service:
    """A Service in front of an application's port `http`.

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
    return Service(
        name,
        metadata={**app.metadata, "annotations": {**OURS, **exposure.annotations}},
        spec={"type": exposure.service_type, "selector": app.selector, "ports": [http]},
        # A node port is free once the Service that had it is gone.
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=exposure.node_port is not None),
    )
