"""What a cloud must give. A cloud's module has a function `connect(settings) -> Cloud`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import Service

from stack.placement import Placement


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key of a Kubernetes Secret: what it holds reaches the pods, and nothing else.

    Attributes:
        secret: The Secret's name.
        key: The key in it.
    """

    secret: pulumi.Input[str]
    key: str


@dataclass(frozen=True, slots=True)
class Registry:
    """Where images go.

    Attributes:
        prefix: What their repositories' names begin with, without a slash at the end.
    """

    prefix: str


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kubernetes cluster.

    Attributes:
        provider: The provider of all objects in it.
        kubeconfig_path: The file with which its user reaches it.
    """

    provider: kubernetes.Provider
    kubeconfig_path: str


@dataclass(frozen=True, slots=True)
class Database:
    """An empty Postgres database.

    Attributes:
        host: Its host name, as pods see it; known once connections are accepted.
        port: Its port.
        name: The database's name.
        user: Who owns it.
        password: The owner's password.
    """

    host: pulumi.Input[str]
    port: int
    name: str
    user: SecretKey
    password: SecretKey


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket that speaks S3.

    Attributes:
        name: Its name.
        endpoint: The store's URL, as pods see it; known once requests are answered.
        region: The region that requests are signed for.
        access_key: The id of a key that may read and write.
        secret_key: The key itself.
    """

    name: pulumi.Input[str]
    endpoint: pulumi.Input[str]
    region: str
    access_key: SecretKey
    secret_key: SecretKey


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a Service becomes reachable from the user's machine.

    Attributes:
        service_type: The Service's type.
        url: The URL of a Service that was made this way.
        node_port: The node port, where the type has one.
        annotations: The Service's annotations.
    """

    service_type: Literal["NodePort", "LoadBalancer"]
    url: Callable[[Service], pulumi.Output[str]]
    node_port: int | None = None
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


class Cloud(Protocol):
    """A cloud, or a cluster in its place."""

    @property
    def registry(self) -> Registry:
        """Where images go."""
        ...

    @property
    def cluster(self) -> Cluster:
        """Where pods go."""
        ...

    @property
    def inference_exposure(self) -> Exposure:
        """How the inference service is reached."""
        ...

    @property
    def mlflow_exposure(self) -> Exposure:
        """How MLflow is reached."""
        ...

    def database(self, name: str, placement: Placement) -> Database:
        """A database; the placement is for clouds that run it in the cluster, and for its credentials in all others."""
        ...

    def bucket(self, name: str, placement: Placement) -> Bucket:
        """A bucket; the placement is for the same things."""
        ...
