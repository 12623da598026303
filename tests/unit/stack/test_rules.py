"""Settings that contradict each other: one line each, with the key and a fix."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stack.catalog import catalog
from stack.settings import Settings, SettingsError
from tests.unit.stack.support.engine import NAMESPACE, REQUIRED, committed, light
from tools.offline.engine import run_program
from tools.offline.graph import Graph


def _lines(config: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        Settings.parse(config)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(
    ("stack", "change", "line"),
    [
        ("dev", {"region": "eu-central-1"}, "region got 'eu-central-1'; digitalocean has nyc1, "),
        ("dev", {"gpuNodeSize": "g6.xlarge"}, "gpuNodeSize got 'g6.xlarge'; digitalocean has gpu-4000adax1-20gb, "),
        ("prod", {"gpuNodeSize": "gpu-h100x1-80gb"}, "gpuNodeSize got 'gpu-h100x1-80gb'; aws has g4dn.xlarge, "),
        ("prod", {"region": "eu-west-1"}, "gpuNodeSize got 'g6.xlarge'; it is in "),
        (
            "dev",
            {"region": "fra1"},
            "gpuNodeSize got 'gpu-4000adax1-20gb'; it is in nyc2, tor1, region fra1 has none; ",
        ),
        ("dev", {"nodesMin": 9}, "nodesMax got '4'; nodesMin is 9; `pulumi config set inference-platform:nodesMax 9`"),
        ("dev", {"gpuNodesMin": 3}, "gpuNodesMax got '2'; gpuNodesMin is 3; "),
        ("dev", {"gpuNodesMin": 0}, "gpuNodesMin got '0'; node pools of digitalocean do not scale to zero; "),
        ("dev", {"replicas": 2}, "gpuNodesMax got '2'; a new version's pod needs a GPU before an old one's is free, "),
        ("dev", {"gpuNodeSize": ""}, "gpuNodeSize is not set; inferenceDevice is gpu; "),
        ("dev", {"mlflowLogin": False}, "mlflowLogin got 'false'; MLflow outside of one's own machine needs a login; "),
        ("dev", {"apiNetworks": []}, "apiNetworks is not set; nobody could reach the cluster's API; "),
        ("dev", {"apiNetworks": ["0.0.0.0/0"]}, "apiNetworks got '[\"0.0.0.0/0\"]'; that is everybody; "),
        ("dev", {"domain": "example.com"}, "allowedNetworks is not set; with a domain the services are public, "),
        (
            "dev",
            {"region": "nyc2", "gpuNodeSize": "gpu-h200x1-141gb"},
            "bucketRegion is not set; buckets are in nyc3, ",
        ),
        (
            "dev",
            {"registry": "a.example.com/b"},
            "registry got 'a.example.com/b'; digitalocean has a registry of its own; ",
        ),
        (
            "dev",
            {"databaseSize": "db.t4g.small"},
            "databaseSize got 'db.t4g.small'; a size of digitalocean is wanted; ",
        ),
        ("dev", {"nodeSize": "m7i.large"}, "nodeSize got 'm7i.large'; a size of digitalocean without GPUs is wanted; "),
        ("prod", {"highAvailability": False}, "highAvailability got 'false'; production survives the loss of a zone; "),
        ("prod", {"deletionProtection": False}, "deletionProtection got 'false'; production's data is not deleted by "),
        ("prod", {"replicas": 1}, "replicas got '1'; production survives the loss of a node; "),
        ("prod", {"backupDays": 3}, "backupDays got '3'; production keeps a week of backups; "),
        ("prod", {"domain": ""}, "domain is not set; production is reached by TLS, for which it needs a name; "),
        ("prod", {"expires": "2027-01-01"}, "expires got '2027-01-01'; production does not expire; "),
        ("prod", {"registryName": "a"}, "registryName got 'a'; it is of cloud `digitalocean` only; "),
        ("prod", {"modelStorage": "image"}, "modelFolder is not set; modelStorage is image, and model.onnx must be "),
    ],
)
def test_a_contradiction_is_named_with_the_fix(stack: str, change: dict[str, Any], line: str) -> None:
    (found,) = _lines(committed(stack, **change))
    assert found.startswith(NAMESPACE + line)
    assert f"`pulumi config set {found.partition(' ')[0]} " in found


def test_a_model_in_a_bucket_has_a_key_and_a_checksum() -> None:
    keys = [line.partition(" ")[0] for line in _lines(committed("dev", modelStorage="bucket"))]
    assert keys == [NAMESPACE + "modelKey", NAMESPACE + "modelSha256"]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"mode": "light"}, "mode"),
        ({"inferenceDevice": "gpu"}, "inferenceDevice"),
        ({"production": True, "highAvailability": True, "replicas": 2, "domain": "a.example"}, "production"),
    ],
)
def test_a_local_cluster_is_no_cloud(change: dict[str, object], key: str) -> None:
    config = {
        NAMESPACE + name: value if isinstance(value, str) else json.dumps(value) for name, value in change.items()
    }
    assert [line.split()[0] for line in _lines({**REQUIRED, **config})] == [NAMESPACE + key]


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_light_mode_has_neither_nodes_nor_init_containers(stack: str) -> None:
    config = {**light(stack), NAMESPACE + "nodeSize": "s-2vcpu-4gb", NAMESPACE + "modelStorage": "bucket"}
    config |= {NAMESPACE + "modelKey": "a/model.onnx", NAMESPACE + "modelSha256": "0" * 64}
    assert [line.split()[0] for line in _lines(config)] == [NAMESPACE + "nodeSize", NAMESPACE + "modelStorage"]


def test_app_platform_is_open_to_everybody_which_must_be_said() -> None:
    (line,) = _lines({**light("dev"), NAMESPACE + "allowedNetworks": "[]"})
    assert line.startswith(f"{NAMESPACE}allowedNetworks is not set; light mode at digitalocean is open to everybody")


_TABLES = {name: catalog(name) for name in ("digitalocean", "aws")}


@st.composite
def _configs(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    stack = draw(st.sampled_from(["dev", "prod"]))
    table = _TABLES["digitalocean" if stack == "dev" else "aws"]
    gpus = ["", *table.gpus]
    change: dict[str, object] = {
        "production": draw(st.booleans()),
        "region": draw(st.sampled_from(table.regions)),
        "bucketRegion": draw(st.sampled_from(["", *table.bucket_regions])),
        "highAvailability": draw(st.booleans()),
        "deletionProtection": draw(st.booleans()),
        "domain": draw(st.sampled_from(["", "models.example.com"])),
        "allowedNetworks": draw(st.sampled_from([[], ["192.0.2.0/24"]])),
        "nodesMin": draw(st.integers(1, 5)),
        "nodesMax": draw(st.integers(1, 5)),
        "gpuNodeSize": draw(st.sampled_from(gpus)),
        "gpuNodesMin": draw(st.integers(0, 3)),
        "gpuNodesMax": draw(st.integers(1, 4)),
        "inferenceDevice": draw(st.sampled_from(["cpu", "gpu"])),
        "replicas": draw(st.integers(1, 3)),
    }
    return stack, committed(stack, **change)


@settings(max_examples=20, deadline=None)
@given(_configs())
def test_any_config_gives_a_consistent_graph_or_says_why_not(drawn: tuple[str, dict[str, str]]) -> None:
    stack, config = drawn
    try:
        chosen = Settings.parse(config)
    except SettingsError as error:
        for line in str(error).splitlines():
            assert line.startswith(NAMESPACE)
            assert "`pulumi config set inference-platform:" in line
        return
    _check(chosen, run_program(config, stack))


def _check(chosen: Settings, graph: Graph) -> None:
    taints = {
        taint["key"]
        for it in graph.resources
        if it.type.endswith(("NodePool", "NodeGroup"))
        for taint in it.inputs.get("taints", [])
    }
    for workload in graph.workloads:
        assert workload.pod is not None
        for toleration in workload.pod["spec"].get("tolerations", []):
            assert toleration["key"] in taints
    assert bool(taints) is bool(chosen.gpu_node_size)
    assert bool(graph.of("PriorityClass")) is (chosen.inference_device == "gpu")
    for rule in graph.of("SecurityGroupIngressRule"):
        assert rule.inputs["description"]
        assert rule.inputs.get("cidrIpv4") != "0.0.0.0/0"
    for balancer in (it for it in graph.of("LoadBalancer") if it.type.startswith("aws:")):
        assert balancer.inputs["internal"] is not bool(chosen.domain)
    for service in graph.of("Service"):
        if service.inputs["spec"]["type"] == "LoadBalancer":
            private = service.inputs["metadata"]["annotations"].get(
                "service.beta.kubernetes.io/do-loadbalancer-network"
            )
            assert (private == "INTERNAL") is not bool(chosen.domain)
    for secret in (it for it in graph.kubernetes if it.type.endswith(":Secret")):
        assert secret.inputs["data"] == "[secret]"
    for database in graph.of("Instance"):
        assert database.inputs["multiAz"] is chosen.high_availability
        assert database.inputs["deletionProtection"] is chosen.deletion_protection
    if chosen.production:
        assert chosen.high_availability
        assert chosen.deletion_protection
