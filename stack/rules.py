"""What settings must be together, each rule with the key to change and a value that would do."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from stack.catalog import Catalog, catalog

if TYPE_CHECKING:
    from stack.settings import Settings

REPOSITORY = Path(__file__).parents[1]


class Problem(NamedTuple):
    """A setting that contradicts others.

    Attributes:
        field: The setting.
        reason: Why its value won't do.
        fix: A value that would, as it is written on a command line.
    """

    field: str
    reason: str
    fix: str


def problems(settings: "Settings") -> Iterator[Problem]:
    """Everything that contradicts something else, in the order of the settings."""
    if settings.cloud == "local":
        yield from _local(settings)
    else:
        table = catalog(settings.cloud)
        yield from _placed(settings, table)
        yield from _nodes(settings, table)
        yield from _public(settings)
    if settings.production:
        yield from _production(settings)
    yield from _model(settings)


def _local(settings: "Settings") -> Iterator[Problem]:
    if not settings.registry:
        yield Problem(
            "registry", "a local cluster pulls from a registry that is there already", "HOST:5000/inference-platform"
        )
    if settings.mode == "light":
        yield Problem("mode", "light mode is without Kubernetes, which is all that cloud `local` has", "kubernetes")
    if settings.inference_device == "gpu":
        yield Problem("inference_device", "cloud `local` has no GPU nodes", "cpu")
    if settings.production:
        yield Problem("production", "cloud `local` keeps its data in pods", "false")


def _placed(settings: "Settings", table: Catalog) -> Iterator[Problem]:
    if settings.region not in table.regions:
        yield Problem("region", f"{settings.cloud} has {_listed(table.regions)}", table.regions[0])
    bucket_region = settings.bucket_region or settings.region
    if table.bucket_regions and settings.region in table.regions and bucket_region not in table.bucket_regions:
        yield Problem("bucket_region", f"buckets are in {_listed(table.bucket_regions)}", table.bucket_regions[0])
    if settings.cloud == "aws":
        for field in ("bucket_region", "registry_name"):
            if getattr(settings, field):
                yield Problem(field, "it is of cloud `digitalocean` only", '""')
    elif settings.administrators:
        yield Problem("administrators", "IAM roles are of cloud `aws` only", "'[]'")
    if settings.registry:
        yield Problem("registry", f"{settings.cloud} has a registry of its own", '""')
    if not re.fullmatch(table.database_pattern, settings.database_size):
        yield Problem("database_size", f"a size of {settings.cloud} is wanted", next(iter(table.databases)))
    if not settings.mlflow_login:
        yield Problem("mlflow_login", "MLflow outside of one's own machine needs a login", "true")


def _nodes(settings: "Settings", table: Catalog) -> Iterator[Problem]:
    if settings.mode == "light":
        for field in ("gpu_node_size", "node_size"):
            if getattr(settings, field):
                yield Problem(field, "light mode has no nodes", '""')
        if settings.inference_device == "gpu":
            yield Problem("inference_device", "light mode has no GPUs", "cpu")
        return
    if not re.fullmatch(table.node_pattern, settings.node_size):
        yield Problem("node_size", f"a size of {settings.cloud} without GPUs is wanted", next(iter(table.nodes)))
    if settings.nodes_max < settings.nodes_min:
        yield Problem("nodes_max", f"nodesMin is {settings.nodes_min}", str(settings.nodes_min))
    if not settings.api_networks:
        yield Problem("api_networks", "nobody could reach the cluster's API", "'[\"YOUR.ADDRESS/32\"]'")
    yield from _gpu_nodes(settings, table)


def _gpu_nodes(settings: "Settings", table: Catalog) -> Iterator[Problem]:
    size = settings.gpu_node_size
    if not size:
        if settings.inference_device == "gpu":
            yield Problem("gpu_node_size", "inferenceDevice is gpu", next(iter(table.gpus)))
        return
    if size not in table.gpus:
        yield Problem("gpu_node_size", f"{settings.cloud} has {_listed(table.gpus)}", next(iter(table.gpus)))
    elif settings.region in table.regions and settings.region not in table.gpus[size].regions:
        here = [gpu for gpu, it in table.gpus.items() if settings.region in it.regions]
        where = sorted(table.gpus[size].regions)
        yield Problem(
            "gpu_node_size",
            f"it is in {_listed(where)}, region {settings.region} has {_listed(here)}",
            [*here, '""'][0],
        )
    if settings.gpu_nodes_max < settings.gpu_nodes_min:
        yield Problem("gpu_nodes_max", f"gpuNodesMin is {settings.gpu_nodes_min}", str(settings.gpu_nodes_min))
    elif settings.inference_device == "gpu" and size in table.gpus:
        wanted = -(-(settings.replicas + 1) // table.gpus[size].count)
        if settings.gpu_nodes_max < wanted:
            reason = f"a new version's pod needs a GPU before an old one's is free, and replicas is {settings.replicas}"
            yield Problem("gpu_nodes_max", reason, str(wanted))
    if settings.cloud == "digitalocean" and settings.gpu_nodes_min < 1:
        yield Problem("gpu_nodes_min", "node pools of digitalocean do not scale to zero", "1")


def _public(settings: "Settings") -> Iterator[Problem]:
    if settings.cloud == "digitalocean" and settings.mode == "light" and settings.allowed_networks != ("0.0.0.0/0",):
        reason = "light mode at digitalocean is open to everybody, which this is to say"
        yield Problem("allowed_networks", reason, "'[\"0.0.0.0/0\"]'")
    elif settings.domain and not settings.allowed_networks:
        reason = "with a domain the services are public, for those who may connect"
        yield Problem("allowed_networks", reason, "'[\"YOUR.ADDRESS/32\"]'")
    if "0.0.0.0/0" in settings.api_networks:
        yield Problem("api_networks", "that is everybody", "'[\"YOUR.ADDRESS/32\"]'")


def _production(settings: "Settings") -> Iterator[Problem]:
    for field, reason in (
        ("high_availability", "production survives the loss of a zone"),
        ("deletion_protection", "production's data is not deleted by mistake"),
    ):
        if not getattr(settings, field):
            yield Problem(field, reason, "true")
    if settings.replicas < 2:
        yield Problem("replicas", "production survives the loss of a node", "2")
    if settings.expires:
        yield Problem("expires", "production does not expire", '""')
    if not settings.domain:
        yield Problem("domain", "production is reached by TLS, for which it needs a name", "models.example.com")
    if settings.backup_days < 7:
        yield Problem("backup_days", "production keeps a week of backups", "7")


def _model(settings: "Settings") -> Iterator[Problem]:
    if settings.distroless and (settings.inference_device == "gpu" or settings.model_storage == "image"):
        yield Problem("distroless", "there is no such image with a GPU's libraries or a model", "false")
    if settings.model_storage == "bucket":
        if settings.mode == "light":
            yield Problem("model_storage", "light mode has no init containers", "mlflow")
        for field, example in (
            ("model_key", "models/churn/7/model.onnx"),
            ("model_sha256", "$(sha256sum < model.onnx | cut -c1-64)"),
        ):
            if not getattr(settings, field):
                yield Problem(field, "modelStorage is bucket", example)
    if settings.model_storage == "image":
        for name in ("model.onnx", "manifest.json"):
            if not settings.model_folder or not (REPOSITORY / settings.model_folder / name).is_file():
                yield Problem("model_folder", f"modelStorage is image, and {name} must be there", "PATH/OF/THE/FOLDER")
                return


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values) or "none"
