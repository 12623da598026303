"""What all pods have in common: no root, a root file system that cannot be written to, no rights in the cluster."""

from collections.abc import Mapping
from typing import Literal

import pulumi
from pulumi_kubernetes.core.v1 import (
    ContainerArgsDict,
    EnvVarArgsDict,
    PodSpecArgsDict,
    PodTemplateSpecArgsDict,
    ProbeArgsDict,
    ResourceRequirementsArgsDict,
    VolumeArgsDict,
    VolumeMountArgsDict,
)

from stack.clouds.contract import GpuNodes, SecretKey
from stack.placement import App

# What the images that this project builds run as.
APP_USER = 10001


def pod_template(  # noqa: PLR0913 - where it runs and what; all else has a default
    app: App,
    container: ContainerArgsDict,
    *,
    user: int,
    writable: Mapping[str, str],
    claims: Mapping[str, str] | None = None,
    read_only: Mapping[str, VolumeArgsDict] | None = None,
    restart_policy: Literal["Always", "Never"] = "Always",
    termination_grace_seconds: int = 30,
    service_account: pulumi.Input[str] | None = None,
    before: ContainerArgsDict | None = None,
    gpu: GpuNodes | None = None,
    priority_class: pulumi.Input[str] | None = None,
) -> PodTemplateSpecArgsDict:
    """A pod of one container.

    Args:
        app: Whose pod it is.
        container: The container, without anything that is settled here.
        user: The user and group it runs as, and the group of its volumes.
        writable: Folders that are empty at first and gone with the pod, and how large each may become.
        claims: The names of claims of a StatefulSet, by the path at which each is mounted.
        read_only: Volumes that are only read, by the path at which each is mounted.
        restart_policy: What is done when the container ends.
        termination_grace_seconds: The time between SIGTERM and SIGKILL.
        service_account: What it runs as for the cloud; the cluster itself knows it by nothing.
        before: A container that must succeed before the other starts, with the same volumes; writable ones it fills.
        gpu: The nodes with GPUs that it goes to; None for all others.
        priority_class: The PriorityClass; None for the cluster's default.
    """
    scratch: dict[str, VolumeArgsDict] = {
        path: {"name": path.strip("/").replace("/", "-"), "empty_dir": {"size_limit": limit}}
        for path, limit in writable.items()
    }
    volumes = scratch | dict(read_only or {})
    mounts: list[VolumeMountArgsDict] = [
        *(
            {"name": volume["name"], "mount_path": path, "read_only": path not in scratch}
            for path, volume in volumes.items()
        ),
        *({"name": claim, "mount_path": path} for path, claim in (claims or {}).items()),
    ]
    spec: PodSpecArgsDict = {
        "containers": [_hardened(container, mounts)],
        "volumes": list(volumes.values()),
        "restart_policy": restart_policy,
        "termination_grace_period_seconds": termination_grace_seconds,
        "automount_service_account_token": False,
        "enable_service_links": False,
        "security_context": {
            "run_as_non_root": True,
            "run_as_user": user,
            "run_as_group": user,
            "fs_group": user,
            "fs_group_change_policy": "OnRootMismatch",
            "seccomp_profile": {"type": "RuntimeDefault"},
        },
    }
    if before is not None:
        spec["init_containers"] = [_hardened(before, mounts)]
    if service_account is not None:
        spec["service_account_name"] = service_account
    if priority_class is not None:
        spec["priority_class_name"] = priority_class
    if gpu is not None:
        spec["node_selector"] = gpu.selector
        spec["tolerations"] = [{"key": gpu.taint, "operator": "Exists", "effect": "NoSchedule"}]
    return {"metadata": {"labels": app.labels}, "spec": spec}


def _hardened(container: ContainerArgsDict, mounts: list[VolumeMountArgsDict]) -> ContainerArgsDict:
    return {
        **container,
        "security_context": {
            "allow_privilege_escalation": False,
            "read_only_root_filesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volume_mounts": mounts,
    }


def resources(
    *, cpu: str, cpu_limit: str, memory: str, memory_limit: str, gpu: GpuNodes | None = None
) -> ResourceRequirementsArgsDict:
    """What a container is sure of, and what it may use; one GPU, where it is for those nodes."""
    gpus = {} if gpu is None else {gpu.resource: "1"}
    return {
        "requests": {"cpu": cpu, "memory": memory, **gpus},
        "limits": {"cpu": cpu_limit, "memory": memory_limit, **gpus},
    }


def environment(
    plain: Mapping[str, pulumi.Input[str]], secret: Mapping[str, SecretKey] | None = None
) -> list[EnvVarArgsDict]:
    """Environment variables, those of secrets by reference."""
    by_value: list[EnvVarArgsDict] = [{"name": name, "value": value} for name, value in plain.items()]
    by_reference: list[EnvVarArgsDict] = [
        {"name": name, "value_from": {"secret_key_ref": {"name": key.secret, "key": key.key}}}
        for name, key in (secret or {}).items()
    ]
    return by_value + by_reference


def http_probe(path: str, *, period_seconds: int, failures: int, timeout_seconds: int = 5) -> ProbeArgsDict:
    """A GET at the container's port `http`."""
    return {
        "http_get": {"path": path, "port": "http"},
        "period_seconds": period_seconds,
        "failure_threshold": failures,
        "timeout_seconds": timeout_seconds,
    }
