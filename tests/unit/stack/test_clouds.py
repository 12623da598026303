"""What the stacks in clouds consist of, and how it hangs together."""

import json
import subprocess
import sys
from typing import Any

import pytest

from stack.clouds.contract import GpuNodes
from tests.unit.stack.support.engine import committed, light
from tools.offline.engine import run_program
from tools.offline.graph import UNKNOWN, Graph, Resource
from tools.offline.providers import DIGEST
from tools.places import REPOSITORY


def _run(name: str, *, preview: bool = False, kept: dict[str, str] | None = None) -> Graph:
    stack, _, mode = name.partition("-")
    return run_program(light(stack) if mode else committed(stack), stack, preview=preview, kept=kept)


def test_outputs_have_the_same_names_everywhere(deployed: Graph, in_cloud: Graph) -> None:
    assert in_cloud.outputs.keys() == deployed.outputs.keys()
    for name in ("inferenceUrl", "mlflowUrl", "registry", "imageDigest", "bucket", "databaseHost", "monthlyCost"):
        assert in_cloud.outputs[name], name


@pytest.mark.parametrize("name", ["dev", "prod", "dev-light", "prod-light"])
def test_a_second_deployment_changes_nothing(name: str) -> None:
    first = _run(name)
    assert _run(name, kept=first.kept).changes_from(first) == []


def test_a_change_is_seen(dev: Graph) -> None:
    changed = run_program(committed("dev", replicas=2, gpuNodesMax=3), "dev").changes_from(dev)
    assert [(line.split()[0], line.split()[-1]) for line in changed] == [("update", "maxNodes"), ("update", "spec")]


@pytest.mark.parametrize("name", ["dev", "prod", "dev-light", "prod-light"])
def test_a_preview_of_the_first_deployment_is_whole(name: str) -> None:
    """Nothing is asked of what is not there, and nothing is left out for being unknown."""
    made, seen = _run(name), _run(name, preview=True)
    assert sorted(it.urn for it in seen.resources) == sorted(it.urn for it in made.resources)
    assert seen.outputs["imageDigest"] == UNKNOWN
    assert {it.token for it in seen.invokes} <= {it.token for it in made.invokes}
    assert not any("SecretVersion" in it.token for it in seen.invokes)


@pytest.mark.parametrize(
    ("stack", "forbidden"), [("local", {"aws", "digitalocean"}), ("dev", {"aws"}), ("prod", {"digitalocean"})]
)
def test_only_the_chosen_clouds_sdk_is_imported(stack: str, forbidden: set[str]) -> None:
    program = (
        "import sys, json; from tools.offline.engine import run_program; "
        f"run_program(json.loads(sys.argv[1]), {stack!r}); print(json.dumps(sorted(sys.modules)))"
    )
    config = committed(stack)
    if stack == "local":
        config["inference-platform:registry"] = "10.0.0.2:5000/a"
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(config)], cwd=REPOSITORY, check=True, capture_output=True, text=True
    )
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert not {f"pulumi_{name}" for name in forbidden} & imported


def _gpu(graph: Graph) -> GpuNodes:
    (pool,) = [it for it in graph.resources if it.type.endswith(("NodePool", "NodeGroup")) and "gpu" in it.name]
    (taint,) = pool.inputs["taints"]
    return GpuNodes("nvidia.com/gpu", taint["key"], pool.inputs["labels"])


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_pods_go_to_gpus_and_tolerate_what_keeps_others_away(stack: str) -> None:
    graph = _run(stack)
    gpu = _gpu(graph)
    assert gpu.taint == "nvidia.com/gpu"
    for workload in graph.workloads:
        assert workload.pod is not None
        pod = workload.pod["spec"]
        is_gpu = workload.name in {"inference", "inference-image"}
        wanted = [{"key": gpu.taint, "operator": "Exists", "effect": "NoSchedule"}] if is_gpu else None
        assert pod.get("tolerations") == wanted, workload.name
        assert pod.get("nodeSelector") == (dict(gpu.selector) if is_gpu else None), workload.name
    pod = _pod(graph.one("Deployment", "inference"))
    (container,) = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
    assert pod["priorityClassName"] == "inference-1a2b3c4d"
    assert container["startupProbe"]["failureThreshold"] * container["startupProbe"]["periodSeconds"] == 900
    assert graph.one("Image", "inference").inputs["target"] == "gpu"
    assert _pod(graph.one("DaemonSet", "inference-image"))["containers"][0]["image"] == container["image"]


def _pod(resource: Resource) -> dict[str, Any]:
    assert resource.pod is not None
    return resource.pod["spec"]


def test_a_model_that_needs_no_gpu_gets_none() -> None:
    graph = run_program(committed("dev", inferenceDevice="cpu"), "dev")
    pod = _pod(graph.one("Deployment", "inference"))
    assert "tolerations" not in pod
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
    assert "target" not in graph.one("Image", "inference").inputs
    assert not graph.of("PriorityClass")


def test_the_device_plugin_is_installed_once_where_the_cloud_does_not(dev: Graph, prod: Graph) -> None:
    charts = {it.name: it for it in prod.of("Release")}
    assert charts.keys() == {"nvidia-device-plugin", "dcgm-exporter", "cluster-autoscaler"}
    assert not dev.of("Release")
    for chart in charts.values():
        assert chart.inputs["version"][0].isdigit(), chart.name
        assert chart.inputs["repositoryOpts"]["repo"].startswith("https://"), chart.name


def test_charts_and_their_images_come_from_a_mirror() -> None:
    mirrored = committed("prod", chartMirror="oci://mirror.example.com/charts", imageMirror="mirror.example.com/images")
    for chart in run_program(mirrored, "prod").of("Release"):
        assert chart.inputs["chart"] == f"oci://mirror.example.com/charts/{chart.name}"
        assert "repositoryOpts" not in chart.inputs
        assert chart.inputs["values"]["image"]["repository"].startswith("mirror.example.com/images/")


def test_the_autoscalers_size_is_nobody_elses(dev: Graph, prod: Graph) -> None:
    assert dev.one("KubernetesCluster", "platform").ignored == ("nodePool.nodeCount",)
    assert dev.one("KubernetesNodePool", "platform-gpu").ignored == ("nodeCount",)
    for group in prod.of("NodeGroup"):
        assert group.ignored == ("scalingConfig.desiredSize",)


def test_nodes_outlive_pods_and_the_network_outlives_the_load_balancer(prod: Graph) -> None:
    namespace = prod.one("Namespace", "platform")
    for node in prod.of("NodeGroup"):
        assert prod.waits_for(namespace, node)
    balancer = prod.one("LoadBalancer", "platform")
    for later in ("RouteTableAssociation", "Subnet", "Vpc", "InternetGateway"):
        used = [it for it in prod.of(later) if prod.waits_for(balancer, it)]
        assert used, later
    for addon in ("vpc-cni", "kube-proxy", "eks-pod-identity-agent"):
        for node in prod.of("NodeGroup"):
            assert prod.waits_for(node, prod.one("Addon", f"platform-{addon}"))


def test_the_schema_is_upgraded_before_a_new_server_starts(with_cluster: Graph) -> None:
    upgrade, server = with_cluster.one("Job", "mlflow-upgrade"), with_cluster.one("Deployment", "mlflow")
    assert with_cluster.waits_for(server, upgrade)
    (first,), (second,) = _pod(upgrade)["containers"], _pod(server)["containers"]
    assert first["image"] == second["image"]
    assert first["args"][0] == "upgrade"
    shared = {variable["name"] for variable in second["env"]}
    assert shared <= {variable["name"] for variable in first["env"]}


def test_mlflow_knows_its_hosts(prod: Graph) -> None:
    (container,) = _pod(prod.one("Deployment", "mlflow"))["containers"]
    (allowed,) = [it for it in container["args"] if it.startswith("--allowed-hosts=")]
    assert "mlflow.models.example.com" in allowed
    assert "https://" not in allowed


def test_secrets_of_mlflow_are_those_of_the_store(prod: Graph) -> None:
    changed = {"mlflow": json.dumps({"username": "admin", "password": "rotated", "session-key": "k"})}
    again = _run("prod", kept=changed)
    assert again.outputs["mlflowPassword"] == "rotated"
    assert prod.outputs["mlflowPassword"] != "rotated"
    assert prod.one("SecretVersion", "mlflow").ignored == ("secretString",)
    (in_cluster,) = [it for it in prod.kubernetes if it.type.endswith(":Secret")]
    assert in_cluster.ignored == ()


def test_a_shared_registry_is_used_and_not_made() -> None:
    graph = run_program(committed("dev", registryName="shared"), "dev")
    assert not graph.of("ContainerRegistry")
    assert graph.one("Image", "mlflow").inputs["tags"] == ["registry.digitalocean.com/shared/mlflow-dev:dev"]


def test_images_are_pushed_with_a_login_and_keep_their_layers(in_cloud: Graph) -> None:
    for image in in_cloud.of("Image"):
        (login,) = image.inputs["registries"]
        assert login["password"] == "[secret]"
        (written,), (read,) = image.inputs["cacheTo"], image.inputs["cacheFrom"]
        assert written["registry"]["ref"] == read["registry"]["ref"]
        assert written["registry"]["ref"].endswith(":buildcache")
    assert in_cloud.outputs["imageRef"].endswith(f"@{DIGEST}")


def test_a_baked_in_model_is_served_from_the_image() -> None:
    graph = run_program(committed("dev", modelStorage="image", modelFolder="tests/unit/stack/models/tiny"), "dev")
    image = graph.one("Image", "inference").inputs
    assert image["target"] == "gpu-with-model"
    assert image["context"]["named"] == {"model": {"location": "tests/unit/stack/models/tiny"}}
    (container,) = _pod(graph.one("Deployment", "inference"))["containers"]
    variables = {it["name"]: it.get("value") for it in container["env"]}
    assert json.loads(variables["INFERENCE_MODELS"]) == [{"name": "breast-cancer", "source": "image:///models"}]
    assert not [it for it in graph.resources if it.name == "example-model"]


def test_light_mode_has_no_cluster(dev: Graph) -> None:
    graph = _run("dev-light")
    assert not graph.kubernetes
    assert len(graph.resources) < len(dev.resources)
    mlflow, inference = (graph.one("App", name).inputs["spec"] for name in ("mlflow", "inference"))
    assert [job["kind"] for job in mlflow["jobs"]] == ["PRE_DEPLOY"]
    for spec in (mlflow, inference):
        assert spec["vpcs"] == [{"id": "platform-id"}]
        assert spec["services"][0]["image"]["digest"] == DIGEST
    (service,) = mlflow["services"]
    assert (
        "--allowed-hosts=*.ondigitalocean.app" in service["run_command" if "run_command" in service else "runCommand"]
    )
    assert graph.one("DatabaseFirewall", "mlflow").inputs["rules"] == [{"type": "ip_addr", "value": "10.118.0.0/20"}]


def test_light_mode_at_aws_is_express_mode() -> None:
    graph = _run("prod-light")
    services = {it.name: it.inputs for it in graph.of("ExpressGatewayService")}
    assert services.keys() == {"mlflow", "inference"}
    container = services["mlflow"]["primaryContainer"]
    assert container["commands"][:2] == ["--first", "upgrade"]
    assert container["commands"][container["commands"].index("--") + 1] == "server"
    assert {it["name"] for it in container["secrets"]} == {
        "MLFLOW_AUTH_ADMIN_PASSWORD",
        "MLFLOW_FLASK_SERVER_SECRET_KEY",
    }
    rights = [it for it in graph.of("RolePolicy") if it.name in {"mlflow-database", "mlflow-bucket"}]
    assert len(rights) == 2
    for right in rights:
        assert graph.waits_for(graph.one("ExpressGatewayService", "mlflow"), right)


def test_an_image_without_a_shell_is_built_from_bases_of_its_own() -> None:
    image = (
        run_program(committed("dev", inferenceDevice="cpu", distroless=True), "dev").one("Image", "inference").inputs
    )
    assert image["target"] == "distroless"
    assert image["buildArgs"]["DISTROLESS_IMAGE"].startswith("gcr.io/distroless/python3")


def test_images_for_gpus_run_the_same_runtime() -> None:
    def version(lock: str, package: str) -> str:
        lines = (REPOSITORY / "requirements" / lock).read_text().splitlines()
        (line,) = [it for it in lines if it.startswith(f"{package}==")]
        return line.removeprefix(f"{package}==").split()[0]

    assert version("gpu.txt", "onnxruntime-gpu") == version("server.txt", "onnxruntime")


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_every_target_is_in_the_dockerfile(stack: str) -> None:
    stages = {
        line.split()[-1]
        for line in (REPOSITORY / "inference_app/Dockerfile").read_text().splitlines()
        if " AS " in line
    }
    for change in ({}, {"distroless": True, "inferenceDevice": "cpu"}):
        image = run_program(committed(stack, **change), stack).one("Image", "inference").inputs
        assert image["target"] in stages
    assert {"cpu-with-model", "gpu-with-model"} <= stages
