"""What stands in for providers: names what has none, and answers as clouds do once they have made a thing."""
# Pulumi's mocks are typed in part.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from pulumi.runtime import mocks, rpc

from tools.offline.graph import Graph, Invoke

DIGEST = f"sha256:{'5' * 64}"
SUFFIX = "1a2b3c4d"
ACCOUNT = "123456789012"
REGION = "us-east-1"

_State = dict[str, Any]
_READ_SECRET = "aws:secretsmanager/getSecretVersion:getSecretVersion"  # noqa: S105 - the question, not the answer
_CERTIFICATE = base64.b64encode(b"certificate").decode()
_AUTHENTICATION = base64.b64encode(b"user:registry-token").decode()


def _named(name: str) -> str:
    return f"{name}-{SUFFIX}"


# What a resource has that nobody gave it, by type: clouds tell it once they have made it.
_MADE: Mapping[str, Callable[[str, _State], _State]] = {
    "docker-build:index:Image": lambda _, __: {"digest": DIGEST},
    "random:index/randomPassword:RandomPassword": lambda name, _: {"result": f"random-{name}"},
    # DigitalOcean
    "digitalocean:index/vpc:Vpc": lambda _, __: {"ipRange": "10.118.0.0/20"},
    "digitalocean:index/containerRegistry:ContainerRegistry": lambda name, _: {
        "endpoint": f"registry.digitalocean.com/{_named(name)}",
        "serverUrl": "registry.digitalocean.com",
    },
    "digitalocean:index/containerRegistryDockerCredentials:ContainerRegistryDockerCredentials": lambda _, __: {
        "dockerCredentials": json.dumps({"auths": {"registry.digitalocean.com": {"auth": _AUTHENTICATION}}})
    },
    "digitalocean:index/kubernetesCluster:KubernetesCluster": lambda name, _: {
        "endpoint": f"https://{name}.k8s.ondigitalocean.com",
        "kubeConfigs": [{"clusterCaCertificate": _CERTIFICATE, "token": "a-kubeconfig-token"}],
    },
    "digitalocean:index/databaseCluster:DatabaseCluster": lambda name, _: {
        "privateHost": f"private-{name}.db.ondigitalocean.com",
        "port": 25060,
        "user": "doadmin",
        "password": "administrators-password",
    },
    "digitalocean:index/databaseUser:DatabaseUser": lambda _, __: {"password": "users-password"},
    "digitalocean:index/databaseConnectionPool:DatabaseConnectionPool": lambda _, __: {"port": 25061},
    "digitalocean:index/spacesKey:SpacesKey": lambda name, _: {
        "accessKey": f"key-{name}",
        "secretKey": f"spaces-secret-{name}",
    },
    "digitalocean:index/certificate:Certificate": lambda name, _: {"uuid": f"{name}-uuid"},
    "digitalocean:index/dnsRecord:DnsRecord": lambda _, it: {"fqdn": f"{it['name']}.{it['domain']}"},
    "digitalocean:index/app:App": lambda name, _: {"liveUrl": f"https://{_named(name)}.ondigitalocean.app"},
    # AWS
    "aws:ec2/eip:Eip": lambda name, _: {"allocationId": f"eipalloc-{name}"},
    "aws:ec2/launchTemplate:LaunchTemplate": lambda _, __: {"latestVersion": 1},
    "aws:eks/cluster:Cluster": lambda name, it: {
        "endpoint": f"https://{name}.eks.amazonaws.com",
        "certificateAuthority": {"data": _CERTIFICATE},
        "vpcConfig": {**it.get("vpcConfig", {}), "clusterSecurityGroupId": f"sg-{name}"},
    },
    "aws:eks/nodeGroup:NodeGroup": lambda name, _: {"resources": [{"autoscalingGroups": [{"name": f"eks-{name}"}]}]},
    "aws:rds/instance:Instance": lambda name, _: {
        "address": f"{_named(name)}.rds.amazonaws.com",
        "masterUserSecrets": [{"secretArn": _arn("secretsmanager", f"secret:rds!db-{name}"), "secretStatus": "active"}],
    },
    "aws:lb/loadBalancer:LoadBalancer": lambda name, _: {
        "dnsName": f"{_named(name)}.elb.amazonaws.com",
        "zoneId": "Z35SXDOTRQ7X7K",
    },
    "aws:acm/certificate:Certificate": lambda _, it: {
        "domainValidationOptions": [
            {
                "domainName": it["domainName"],
                "resourceRecordName": "_challenge",
                "resourceRecordType": "CNAME",
                "resourceRecordValue": "_answer.acm-validations.aws",
            }
        ]
    },
    "aws:route53/record:Record": lambda _, it: {"fqdn": it["name"]},
    "aws:s3/bucket:Bucket": lambda name, _: {"bucket": _named(name)},
    "aws:ecs/expressGatewayService:ExpressGatewayService": lambda name, _: {
        "ingressPaths": [{"accessType": "PUBLIC", "endpoint": f"{_named(name)}.ecs.{REGION}.on.aws"}]
    },
}

_ANSWERS: Mapping[str, Callable[[_State], _State]] = {
    "digitalocean:index/getContainerRegistry:getContainerRegistry": lambda it: {
        "name": it["name"],
        "endpoint": f"registry.digitalocean.com/{it['name']}",
        "serverUrl": "registry.digitalocean.com",
    },
    "digitalocean:index/getKubernetesVersions:getKubernetesVersions": lambda it: {
        "latestVersion": f"{it['versionPrefix']}1-do.0"
    },
    "digitalocean:index/getDatabaseCa:getDatabaseCa": lambda _: {"certificate": "-----BEGIN CERTIFICATE-----"},
    "aws:index/getAvailabilityZones:getAvailabilityZones": lambda _: {
        "names": [f"{REGION}{zone}" for zone in "abcdef"]
    },
    "aws:ecr/getAuthorizationToken:getAuthorizationToken": lambda _: {
        "proxyEndpoint": f"https://{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com",
        "userName": "AWS",
        "password": "registry-token",
    },
    "aws:route53/getZone:getZone": lambda it: {"zoneId": "Z1", "name": it["name"]},
}


class Providers(mocks.Mocks):
    """The providers of one run.

    Args:
        graph: Where questions are noted, and what stores of secrets have.
        preview: Whether nothing is made, so that what only clouds know stays unknown.
    """

    def __init__(self, graph: Graph, *, preview: bool) -> None:
        self._graph = graph
        self._preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        """Its id and state; in a preview, what it was given."""
        state = dict(args.inputs)
        if args.typ.startswith("kubernetes:"):
            return f"{args.name}-id", self._object(args, state)
        if self._preview and not args.typ.startswith("pulumi:providers:"):
            return None, state
        if args.typ.startswith(("aws:", "digitalocean:")):
            state.setdefault("name", _named(args.name))
        if args.typ.startswith("aws:"):
            service, _, kind = args.typ.split(":")[1].partition("/")
            state.setdefault("arn", _arn(service, f"{kind}/{state['name']}"))
        if args.typ == "aws:secretsmanager/secretVersion:SecretVersion":
            self._graph.kept.setdefault(args.name, str(rpc.unwrap_rpc_secret(state["secretString"])))
        if args.typ in _MADE:
            state |= _MADE[args.typ](args.name, state)
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        """What a provider answers."""
        self._graph.invokes.append(Invoke(args.token, dict(args.args)))
        if args.token == _READ_SECRET:
            name = str(args.args["secretId"]).removesuffix("-id")
            return {**args.args, "secretString": self._graph.kept[name]}, []
        if args.token not in _ANSWERS:
            raise LookupError(f"nothing here answers {args.token}")
        return {**args.args, **_ANSWERS[args.token](dict(args.args))}, []

    def _object(self, args: mocks.MockResourceArgs, state: _State) -> _State:
        if args.typ == "kubernetes:helm.sh/v3:Release":
            return {**state, "status": {"name": args.name, "status": "deployed"}}
        # The Kubernetes provider names objects before it makes them.
        state["metadata"] = {"name": _named(args.name), **state["metadata"]}
        if args.typ.endswith(":Service") and not self._preview:
            state["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
        return state


def _arn(service: str, what: str) -> str:
    # IAM is of no region.
    return f"arn:aws:{service}:{'' if service == 'iam' else REGION}:{ACCOUNT}:{what}"
