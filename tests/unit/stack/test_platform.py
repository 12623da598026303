"""What a stack consists of, as those who run, read or attack it would see it."""

import base64
import json
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.unit.stack.support.engine import REQUIRED, deploy
from tools.offline.graph import Graph, Resource, strings
from tools.offline.providers import DIGEST
from tools.places import REPOSITORY

_PREFIX = REQUIRED["inference-platform:registry"]


def _pods(deployed: Graph) -> list[tuple[str, dict[str, Any]]]:
    return [(workload.name, workload.pod["spec"]) for workload in deployed.workloads if workload.pod]


def _containers(deployed: Graph) -> list[tuple[str, dict[str, Any]]]:
    return [(name, container) for name, pod in _pods(deployed) for container in pod["containers"]]


def test_outputs(deployed: Graph) -> None:
    kubeconfig = os.environ.get("KUBECONFIG", "~/.kube/config")
    view = f"kubectl config view --raw --minify --flatten --kubeconfig={kubeconfig} > kubeconfig.yaml"
    assert deployed.outputs == {
        "inferenceUrl": "http://127.0.0.1:30080",
        "mlflowUrl": "http://127.0.0.1:30500",
        "mlflowUser": "",
        "mlflowPassword": "",
        "modelName": "breast-cancer",
        "imageRef": f"{_PREFIX}/inference@{DIGEST}",
        "imageDigest": DIGEST,
        "registry": _PREFIX,
        "bucket": "mlflow",
        "databaseHost": "postgres-1a2b3c4d.platform-1a2b3c4d.svc",
        "clusterName": "current context",
        "namespace": "platform-1a2b3c4d",
        "kubeconfigPath": kubeconfig,
        "kubeconfigCommand": view,
        "dashboards": {"mlflow": "http://127.0.0.1:30500", "metrics": "http://127.0.0.1:30080/metrics"},
        "monthlyCost": "",
    }


def test_pods_pass_the_restricted_policy(with_cluster: Graph) -> None:
    """Source: Kubernetes, "Pod Security Standards", Restricted."""
    for name, pod in _pods(with_cluster):
        security = pod["securityContext"]
        assert security["runAsNonRoot"], name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
    for name, container in _containers(with_cluster):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_containers_are_bounded(with_cluster: Graph) -> None:
    for name, container in _containers(with_cluster):
        for bound in ("requests", "limits"):
            assert set(container["resources"][bound]) - {"nvidia.com/gpu"} == {"cpu", "memory"}, name
    for name, pod in _pods(with_cluster):
        scratch = [volume["emptyDir"] for volume in pod["volumes"] if "emptyDir" in volume]
        assert all("sizeLimit" in volume for volume in scratch), name


def test_servers_are_probed(deployed: Graph) -> None:
    for workload in deployed.workloads:
        assert workload.pod is not None
        (container,) = workload.pod["spec"]["containers"]
        probes = {key for key in container if key.endswith("Probe")}
        expected: set[str] = (
            set() if workload.type.endswith(":Job") else {"startupProbe", "livenessProbe", "readinessProbe"}
        )
        assert probes == expected, workload.name


def test_images_are_pinned(deployed: Graph) -> None:
    for name, container in _containers(deployed):
        image = container["image"]
        if image.startswith(_PREFIX):
            assert image.endswith(f"@{DIGEST}"), name
        else:
            assert ":" in image.rpartition("/")[2], name
            assert not image.endswith(":latest"), name


def test_the_platforms_own_images_are_tagged_with_the_setting() -> None:
    tagged = deploy({"inference-platform:imageTag": "0123456789ab"})
    tags = [tag for it in tagged.resources if it.type == "docker-build:index:Image" for tag in it.inputs["tags"]]
    assert sorted(tags) == [f"{_PREFIX}/{name}:0123456789ab" for name in ("inference", "mlflow", "publisher")]


def test_every_dockerfile_is_there(deployed: Graph) -> None:
    for image in (it for it in deployed.resources if it.type == "docker-build:index:Image"):
        dockerfile = REPOSITORY / image.inputs["dockerfile"]["location"]
        assert dockerfile.is_file()
        # Without it the whole checkout is the context, and every commit makes a new digest.
        assert dockerfile.with_name("Dockerfile.dockerignore").is_file()


def test_every_object_is_labelled(with_cluster: Graph) -> None:
    labels = {f"app.kubernetes.io/{label}" for label in ("name", "instance", "part-of", "managed-by")}
    for resource in with_cluster.kubernetes:
        given = resource.inputs["metadata"]["labels"]
        expected = (
            labels
            if resource.type.endswith((":Namespace", ":PriorityClass"))
            else labels | {"app.kubernetes.io/component"}
        )
        assert set(given) == expected, resource.name
        if resource.pod is not None:
            assert resource.pod["metadata"]["labels"] == given, resource.name


def test_two_stacks_in_one_cluster_share_nothing() -> None:
    stacks = [deploy(stack=name) for name in ("one", "two")]
    for stack in stacks:
        for resource in stack.kubernetes:
            assert "name" not in resource.inputs["metadata"], resource.name
            namespaced = not resource.type.endswith(":Namespace")
            assert ("namespace" in resource.inputs["metadata"]) is namespaced, resource.name
    instances = [
        {resource.inputs["metadata"]["labels"]["app.kubernetes.io/instance"] for resource in stack.kubernetes}
        for stack in stacks
    ]
    assert instances == [{"one"}, {"two"}]


def test_selectors_select_their_own_pods_and_no_others(with_cluster: Graph) -> None:
    def selected(selector: dict[str, str]) -> list[str]:
        pods = {it.name: it.pod["metadata"]["labels"] for it in with_cluster.workloads if it.pod}
        return [name for name, labels in pods.items() if selector.items() <= labels.items()]

    for resource in with_cluster.kubernetes:
        selector = resource.inputs.get("spec", {}).get("selector")
        if selector is not None:
            assert selected(selector.get("matchLabels", selector)) == [resource.name.removesuffix("-outside")], (
                resource.urn
            )
    assert with_cluster.one("PodDisruptionBudget", "inference").inputs["spec"]["maxUnavailable"] == 1


def test_services_lead_to_ports_that_are_there(deployed: Graph) -> None:
    for service in (it for it in deployed.kubernetes if it.type.endswith(":Service")):
        (workload,) = [it for it in deployed.workloads if it.name == service.name]
        assert workload.pod is not None
        ports = workload.pod["spec"]["containers"][0]["ports"]
        reachable = {port["name"] for port in ports} | {port["containerPort"] for port in ports}
        assert {port.get("targetPort", port["port"]) for port in service.inputs["spec"]["ports"]} <= reachable


def test_variables_and_volumes_refer_to_what_is_there(with_cluster: Graph) -> None:
    entries = {
        f"{it.name}-1a2b3c4d": set(it.secrets["data"]) for it in with_cluster.kubernetes if it.type.endswith(":Secret")
    }
    for name, container in _containers(with_cluster):
        for variable in container.get("env", []):
            if "valueFrom" in variable:
                reference = variable["valueFrom"]["secretKeyRef"]
                assert reference["key"] in entries[reference["name"]], name
    for name, pod in _pods(with_cluster):
        for volume in pod["volumes"]:
            if "secret" in volume:
                keys = {item["key"] for item in volume["secret"]["items"]}
                assert keys <= entries[volume["secret"]["secretName"]], name


def test_passwords_are_nowhere_but_in_secrets(deployed: Graph) -> None:
    secrets = [it for it in deployed.kubernetes if it.type.endswith(":Secret")]
    decoded = {
        base64.b64decode(value).decode()
        for secret in secrets
        for key, value in secret.secrets["data"].items()
        if key != "username"
    }
    assert len(decoded) == 4
    everything = [text for resource in deployed.resources for text in strings(resource.inputs)]
    everything += strings(deployed.outputs)
    assert not [text for text in everything if any(password in text for password in decoded)]
    assert not [text for secret in secrets for text in strings(secret.inputs) if text in decoded]


def test_passwords_are_kept_and_differ_from_stack_to_stack(deployed: Graph) -> None:
    again = deploy()
    for secret in (it for it in deployed.kubernetes if it.type.endswith(":Secret")):
        assert secret.ignored == ("data",)
        assert again.one("Secret", secret.name).secrets != secret.secrets


def test_the_object_store_takes_the_key_that_mlflow_has(deployed: Graph) -> None:
    content = deployed.one("Secret", "object-store").secrets["data"]
    decoded = {key: base64.b64decode(value).decode() for key, value in content.items()}
    (identity,) = json.loads(decoded["s3.json"])["identities"]
    assert identity["credentials"] == [{"accessKey": decoded["access-key"], "secretKey": decoded["secret-key"]}]


def test_everything_comes_after_what_it_needs(deployed: Graph) -> None:
    order = [
        (deployed.one("StatefulSet", "postgres"), deployed.one("StatefulSet", "object-store")),
        (deployed.one("Job", "mlflow-upgrade"),),
        (deployed.one("Deployment", "mlflow"),),
        (deployed.one("Job", "example-model"),),
        (deployed.one("Deployment", "inference"),),
    ]
    for earlier, later in pairwise(order):
        assert all(deployed.waits_for(b, a) for a in earlier for b in later)
    namespace = deployed.one("Namespace", "platform")
    assert all(deployed.waits_for(it, namespace) for it in deployed.kubernetes if it is not namespace)


def test_without_the_example_the_service_still_comes_after_mlflow() -> None:
    own = deploy({"inference-platform:exampleModel": "false"})
    assert not [it for it in own.resources if it.name in {"example-model", "publisher"}]
    assert own.waits_for(own.one("Deployment", "inference"), own.one("Deployment", "mlflow"))


def test_no_provider_is_a_default_one(with_cluster: Graph) -> None:
    providers = {it.urn for it in with_cluster.resources if it.type.startswith("pulumi:providers:")}
    for resource in with_cluster.resources:
        if resource.type.startswith(("kubernetes:", "docker-build:")):
            assert resource.provider.rpartition("::")[0] in providers, resource.urn


def test_components_hold_everything_but_the_namespace_and_the_providers(deployed: Graph) -> None:
    outside = [it for it in deployed.resources if not it.parent or it.parent.endswith("pulumi:pulumi:Stack::stack")]
    loose = {it.type for it in outside if not it.type.startswith("inference-platform:")}
    assert loose <= {"kubernetes:core/v1:Namespace", "pulumi:providers:kubernetes", "pulumi:providers:docker-build"}


@pytest.mark.parametrize(
    ("kind", "name", "config", "path", "expected"),
    [
        ("Deployment", "inference", {"replicas": "3"}, "spec.replicas", 3),
        ("Image", "inference", {"builder": "here"}, "builder", {"name": "here"}),
        ("Image", "inference", {"platform": "linux/arm64"}, "platforms", ["linux/arm64"]),
        ("Image", "mlflow", {"pipIndexUrl": "https://pip/"}, "buildArgs.PIP_INDEX_URL", "https://pip/"),
        ("Image", "mlflow", {"pythonImage": "a.b/python:3"}, "buildArgs.BASE_IMAGE", "a.b/python:3"),
        ("Service", "mlflow", {"mlflowPort": "31000"}, "spec.ports.0.nodePort", 31000),
        ("StatefulSet", "postgres", {"postgresImage": "a.b/c:1"}, "spec.template.spec.containers.0.image", "a.b/c:1"),
    ],
)
def test_settings_arrive(kind: str, name: str, config: dict[str, str], path: str, expected: object) -> None:
    found: Any = deploy({f"inference-platform:{key}": value for key, value in config.items()}).one(kind, name).inputs
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else found[step]
    assert found == expected


def test_a_ca_bundle_reaches_builds_as_a_secret(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    built = deploy({"inference-platform:caBundle": str(bundle)})
    images: list[Resource] = [it for it in built.resources if it.type == "docker-build:index:Image"]
    assert [it.secrets["secrets"] for it in images] == [{"ca-bundle": "certificates"}] * 3
    assert not [text for it in built.resources for text in strings(it.inputs) if str(bundle) in text]


def test_the_kubeconfig_and_its_context_are_the_chosen_ones(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.touch()
    chosen = deploy({"kubernetes:kubeconfig": str(kubeconfig), "kubernetes:context": "lab"})
    provider = chosen.one("kubernetes", "cluster").inputs
    assert (provider["kubeconfig"], provider["context"]) == (str(kubeconfig), "lab")
    command = f"kubectl config view --raw --minify --flatten --kubeconfig={kubeconfig} --context=lab > kubeconfig.yaml"
    assert (chosen.outputs["kubeconfigCommand"], chosen.outputs["clusterName"]) == (command, "lab")
