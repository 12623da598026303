"""What attackers would look for."""
# Inputs are JSON.
# pyright: reportUnknownVariableType=false

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.stack.support.engine import committed
from tools.offline.engine import run_program
from tools.offline.graph import SECRET, Graph, Resource, strings

# What AWS knows no resources for, and the one who may do it. Source: AWS, "Actions, resources, and condition keys".
_WITHOUT_RESOURCES = {
    "autoscaler-scaling": ("autoscaling:Describe", "ec2:Describe", "ec2:Get"),
}
_SECRETS = (
    "users-password",
    "administrators-password",
    "spaces-secret-",
    "registry-token",
    "a-kubeconfig-token",
    "random-",
)


def _statements(graph: Graph) -> Iterator[tuple[str, dict[str, Any]]]:
    for resource in graph.resources:
        for key in ("policy", "assumeRolePolicy"):
            if resource.type.startswith("aws:") and isinstance(resource.inputs.get(key), str):
                for statement in json.loads(resource.inputs[key]).get("Statement", []):
                    yield resource.name, statement


def test_no_policy_allows_everything(in_cloud: Graph) -> None:
    for name, statement in _statements(in_cloud):
        if statement["Effect"] == "Deny":
            continue
        for action in statement["Action"]:
            assert "*" not in action, name
        for resource in statement.get("Resource", []):
            if resource == "*":
                assert all(action.startswith(_WITHOUT_RESOURCES[name]) for action in statement["Action"]), name
            else:
                # A wildcard is below something of the stack's own, or conditions name it.
                fixed = resource.partition("*")[0]
                assert (
                    "-1a2b3c4d" in fixed
                    or "/platform" in fixed
                    or "inference-platform" in fixed
                    or (statement.get("Condition") or "*" not in resource)
                ), (name, resource)
        assert statement.get("Principal") != "*", name


def test_pods_may_do_what_they_must_and_no_more(prod: Graph) -> None:
    allowed = {
        (name, action)
        for name, statement in _statements(prod)
        if name.startswith(("mlflow-", "inference-"))
        for action in statement["Action"]
    }
    assert allowed == {
        ("mlflow-database", "secretsmanager:GetSecretValue"),
        ("mlflow-database", "kms:Decrypt"),
        *(("mlflow-bucket", f"s3:{action}Object") for action in ("Get", "Put", "Delete")),
        *(("mlflow-bucket", f"s3:{action}") for action in ("ListBucket", "GetBucketLocation", "AbortMultipartUpload")),
        ("mlflow-bucket", "kms:Decrypt"),
        ("mlflow-bucket", "kms:GenerateDataKey"),
    }


def test_a_model_in_the_bucket_is_read_only_to_the_inference_service() -> None:
    stored = committed("prod", modelStorage="bucket", modelKey="models/m/7/model.onnx", modelSha256="0" * 64)
    graph = run_program(stored, "prod")
    actions = {action for name, it in _statements(graph) if name == "inference-bucket" for action in it["Action"]}
    assert actions == {"s3:ListBucket", "s3:GetBucketLocation", "s3:GetObject", "kms:Decrypt"}
    pod = graph.one("Deployment", "inference").pod
    assert pod is not None
    (container,) = pod["spec"]["initContainers"]
    assert container["args"] == ["s3://mlflow-1a2b3c4d/models/m/7/model.onnx", "0" * 64, "/models"]
    assert pod["spec"]["serviceAccountName"] == "inference-1a2b3c4d"


def test_nodes_keep_their_metadata_to_themselves(prod: Graph) -> None:
    templates = prod.of("LaunchTemplate")
    assert len(templates) == len(prod.of("NodeGroup")) == 2
    for template in templates:
        assert template.inputs["metadataOptions"] == {
            "httpEndpoint": "enabled",
            "httpTokens": "required",
            "httpPutResponseHopLimit": 1,
        }
        assert all(it["ebs"]["encrypted"] == "true" for it in template.inputs["blockDeviceMappings"])


def test_the_database_is_private_encrypted_and_asks_for_tls(prod: Graph, dev: Graph) -> None:
    instance = prod.one("Instance", "mlflow").inputs
    assert instance["publiclyAccessible"] is False
    assert instance["storageEncrypted"] is True
    assert instance["multiAz"] is True
    assert instance["deletionProtection"] is True
    assert instance["backupRetentionPeriod"] == 30
    assert instance["manageMasterUserPassword"] is True
    assert "password" not in instance
    parameters = prod.one("ParameterGroup", "mlflow").inputs["parameters"]
    assert {"name": "rds.force_ssl", "value": "1"} in parameters
    assert instance["parameterGroupName"] == "mlflow-1a2b3c4d"
    assert dev.one("DatabaseFirewall", "mlflow").inputs["rules"] == [{"type": "k8s", "value": "platform-id"}]
    assert dev.one("DatabaseCluster", "mlflow").inputs["privateNetworkUuid"] == "platform-id"


def test_clients_of_the_database_verify_it(in_cloud: Graph) -> None:
    found = [
        {variable.get("name") or variable["key"]: variable.get("value") for variable in variables}
        for resource in in_cloud.resources
        for variables in _environments(resource.inputs)
    ]
    clients = [it for it in found if "PGUSER" in it]
    assert clients
    for client in clients:
        assert client["PGSSLMODE"] == "verify-full"
        assert {"DATABASE_CA_PEM", "DATABASE_CA_URL"} & client.keys()


def _environments(value: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key in {"env", "envs", "environments"}:
                yield item
            yield from _environments(item)
    elif isinstance(value, list):
        for item in value:
            yield from _environments(item)


def test_buckets_are_private_encrypted_and_versioned(prod: Graph, dev: Graph) -> None:
    blocked = prod.one("BucketPublicAccessBlock", "mlflow").inputs
    assert [key for key, value in blocked.items() if value is True] == [
        "blockPublicAcls",
        "blockPublicPolicy",
        "ignorePublicAcls",
        "restrictPublicBuckets",
    ]
    (rule,) = prod.one("BucketServerSideEncryptionConfiguration", "mlflow").inputs["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "aws:kms"
    assert prod.one("BucketVersioning", "mlflow").inputs["versioningConfiguration"] == {"status": "Enabled"}
    (denied,) = json.loads(prod.one("BucketPolicy", "mlflow").inputs["policy"])["Statement"]
    assert denied["Effect"] == "Deny"
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert prod.one("Bucket", "mlflow").inputs["forceDestroy"] is False
    space = dev.one("SpacesBucket", "mlflow").inputs
    assert (space["acl"], space["versioning"]) == ("private", {"enabled": True})


def test_every_client_of_a_space_has_a_key_for_it_alone(dev: Graph) -> None:
    grants = {it.name: it.inputs["grants"] for it in dev.of("SpacesKey")}
    assert grants == {
        "mlflow-bootstrap": [{"bucket": "", "permission": "fullaccess"}],
        "mlflow-mlflow": [{"bucket": "mlflow-1a2b3c4d", "permission": "readwrite"}],
    }
    everything = list(strings([it.inputs for it in dev.kubernetes]))
    assert not [text for text in everything if "mlflow-bootstrap" in text]


def test_registries_scan_encrypt_and_keep_tags(prod: Graph) -> None:
    repositories = prod.of("Repository")
    assert {it.name for it in repositories} == {"inference", "mlflow", "publisher"}
    for it in repositories:
        assert it.inputs["imageTagMutability"] == "IMMUTABLE_WITH_EXCLUSION"
        assert [each["filter"] for each in it.inputs["imageTagMutabilityExclusionFilters"]] == ["buildcache"]
        assert it.inputs["imageScanningConfiguration"] == {"scanOnPush": True}
        assert it.inputs["encryptionConfigurations"][0]["encryptionType"] == "KMS"
        assert it.name in {policy.name for policy in prod.of("LifecyclePolicy")}


def test_the_cluster_api_is_for_who_is_let_in(prod: Graph, dev: Graph) -> None:
    cluster = prod.one("Cluster", "platform").inputs
    assert cluster["vpcConfig"]["publicAccessCidrs"] == ["192.0.2.0/24"]
    assert cluster["vpcConfig"]["endpointPrivateAccess"] is True
    assert cluster["encryptionConfig"]["resources"] == ["secrets"]
    assert len(cluster["enabledClusterLogTypes"]) == 5
    assert cluster["accessConfig"]["authenticationMode"] == "API"
    firewall = dev.one("KubernetesCluster", "platform").inputs["controlPlaneFirewall"]
    assert firewall == {"enabled": True, "allowedAddresses": ["192.0.2.0/24"]}


def test_every_security_group_rule_says_why_and_lets_nobody_in_from_everywhere(in_cloud: Graph) -> None:
    for rule in in_cloud.of("SecurityGroupIngressRule"):
        assert rule.inputs["description"], rule.name
        assert rule.inputs.get("cidrIpv4") != "0.0.0.0/0", rule.name
    for rule in in_cloud.of("SecurityGroupEgressRule"):
        assert rule.inputs["description"], rule.name
    for group in in_cloud.of("SecurityGroup"):
        assert not {"ingress", "egress"} & group.inputs.keys(), group.name


def test_load_balancers_are_internal_or_take_tls_from_who_may_connect(prod: Graph, dev: Graph) -> None:
    assert prod.one("LoadBalancer", "platform").inputs["internal"] is False
    assert prod.one("Listener", "platform-https").inputs["sslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert prod.one("Listener", "platform-http").inputs["defaultActions"][0]["type"] == "redirect"
    for service in (it for it in dev.of("Service") if it.inputs["spec"]["type"] == "LoadBalancer"):
        assert (
            service.inputs["metadata"]["annotations"]["service.beta.kubernetes.io/do-loadbalancer-network"]
            == "INTERNAL"
        )
    public = run_program(committed("dev", domain="d.example.com", allowedNetworks=["192.0.2.0/24"]), "dev")
    outside = [it for it in public.of("Service") if it.name.endswith("-outside")]
    assert len(outside) == 2
    for service in outside:
        annotations = service.inputs["metadata"]["annotations"]
        assert annotations["service.beta.kubernetes.io/do-loadbalancer-certificate-id"] == "platform-uuid"
        assert annotations["service.beta.kubernetes.io/do-loadbalancer-redirect-http-to-https"] == "true"
        assert service.inputs["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]
    assert public.outputs["inferenceUrl"] == "https://inference.d.example.com"
    internal = run_program(committed("prod", production=False, domain=""), "prod")
    assert internal.one("LoadBalancer", "platform").inputs["internal"] is True
    assert internal.outputs["mlflowUrl"].endswith(":81")


def test_secrets_are_secret(any_stack: tuple[str, Graph]) -> None:
    _, graph = any_stack
    found = [
        (resource.name, text)
        for resource in graph.resources
        for text in strings(resource.inputs)
        if any(secret in text for secret in (*_SECRETS, *_kept(graph)))
    ]
    assert found == []
    assert "mlflowPassword" in graph.secret_outputs
    visible = {key: value for key, value in graph.outputs.items() if key not in graph.secret_outputs}
    password = graph.outputs["mlflowPassword"]
    assert not [text for text in strings(visible) if password and password in text]


def _kept(graph: Graph) -> Iterator[str]:
    for text in graph.kept.values():
        yield from (value for key, value in json.loads(text).items() if key != "username")


def test_mlflow_asks_who_it_is_in_every_cloud(in_cloud: Graph) -> None:
    commands = [text for it in in_cloud.resources for text in strings(it.inputs) if "--app-name=basic-auth" in text]
    assert commands
    assert in_cloud.outputs["mlflowUser"] == "admin"


def test_what_holds_data_outlives_a_mistake(prod: Graph) -> None:
    for kind, name, key in (
        ("Instance", "mlflow", "deletionProtection"),
        ("Cluster", "platform", "deletionProtection"),
        ("LoadBalancer", "platform", "enableDeletionProtection"),
    ):
        assert prod.one(kind, name).inputs[key] is True
    kept = run_program(committed("dev", deletionProtection=True), "dev")
    for kind in ("DatabaseCluster", "DatabaseDb", "SpacesBucket", "ContainerRegistry"):
        assert [it.protected for it in kept.of(kind)] == [True], kind


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_everything_is_tagged_with_owner_and_expiry(stack: str) -> None:
    graph = run_program(committed(stack, production=False, owner="team a", expires="2027-01-31"), stack)
    marks: list[Resource] = [
        it for it in graph.resources if "tags" in it.inputs and it.type.startswith("digitalocean:")
    ]
    for resource in marks:
        assert {"project:inference-platform", f"stack:{stack}", "owner:team-a", "expires:2027-01-31"} <= set(
            resource.inputs["tags"]
        )
    if stack == "prod":
        given = json.loads(graph.one("aws", "aws").inputs["defaultTags"])["tags"]
        assert given == {"project": "inference-platform", "stack": "prod", "owner": "team a", "expires": "2027-01-31"}
    assert marks or stack == "prod"


def test_the_kubeconfig_has_no_credential(prod: Graph, dev: Graph) -> None:
    for graph, program in ((prod, "aws"), (dev, "doctl")):
        kubeconfig = json.loads(graph.one("kubernetes", "cluster").inputs["kubeconfig"])
        (user,) = kubeconfig["users"]
        assert user["user"].keys() == {"exec"}
        assert user["user"]["exec"]["command"] == program
        assert SECRET not in json.dumps(kubeconfig)
