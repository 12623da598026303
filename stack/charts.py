"""The charts that stacks install, each pinned, all from where the settings say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.helm.v3 import Release

from stack.settings import Settings


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart.

    Attributes:
        name: Its name in its repository.
        version: Its version.
        repository: Its maker's repository.
        image: Its image, without the tag, which the chart knows.
    """

    name: str
    version: str
    repository: str
    image: str


DEVICE_PLUGIN = Chart(
    "nvidia-device-plugin", "0.17.4", "https://nvidia.github.io/k8s-device-plugin", "nvcr.io/nvidia/k8s-device-plugin"
)
DCGM_EXPORTER = Chart(
    "dcgm-exporter", "4.1.3", "https://nvidia.github.io/dcgm-exporter/helm-charts", "nvcr.io/nvidia/k8s/dcgm-exporter"
)
CLUSTER_AUTOSCALER = Chart(
    "cluster-autoscaler",
    "9.50.0",
    "https://kubernetes.github.io/autoscaler",
    "registry.k8s.io/autoscaling/cluster-autoscaler",
)


def install(
    chart: Chart,
    settings: Settings,
    namespace: pulumi.Input[str],
    values: Mapping[str, Any],
    options: pulumi.ResourceOptions,
) -> Release:
    """Install a chart.

    Args:
        chart: Which.
        settings: Where charts and images come from.
        namespace: Where it goes.
        values: Its values, but for its image.
        options: The resource's options.
    """
    mirror = settings.chart_mirror
    over_oci = mirror.startswith("oci://")
    image = chart.image
    if settings.image_mirror:
        image = f"{settings.image_mirror}/{image.partition('/')[2]}"
    return Release(
        chart.name,
        chart=f"{mirror}/{chart.name}" if over_oci else chart.name,
        version=chart.version,
        repository_opts=None if over_oci else {"repo": mirror or chart.repository},
        namespace=namespace,
        atomic=True,
        timeout=600,
        values={**values, "image": {"repository": image}},
        opts=options,
    )
