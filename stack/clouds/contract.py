"""What a cloud must give. A cloud's module has a function `connect(settings) -> Cloud`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import Service

from stack.placement import App, Placement


@dataclass(frozen=True, slots=True)
class SecretKey:
    """One key of a Kubernetes Secret: what it holds reaches the pods, and nothing else.

    Attributes:
        secret: The Secret's name.
        key: The key in it.
    """

    secret: pulumi.Input[str]
    key: str


# What a variable's secret value is taken from: a key of a Kubernetes Secret for pods, what the cloud's own service of
# containers takes in light mode.
S = TypeVar("S")


@dataclass(frozen=True)  # without slots, which `Access[S]()` could not be called with
class Access(Generic[S]):
    """What lets a container in.

    Attributes:
        variables: Environment variables.
        secrets: Environment variables with secret values, by where each value is.
        identity: What it runs as, where the cloud lets that in: a pod's service account, a task's role.
    """

    variables: Mapping[str, pulumi.Input[str]] = field(default_factory=dict[str, pulumi.Input[str]])
    secrets: Mapping[str, S] = field(default_factory=dict[str, S])
    identity: pulumi.Input[str] | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """How image builds log in to a registry.

    Attributes:
        address: The registry's host.
        username: The user.
        password: The password; a secret, and short-lived.
    """

    address: pulumi.Input[str]
    username: pulumi.Input[str]
    password: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class Registry:
    """Where images go.

    Attributes:
        prefix: What their repositories' names begin with, without a slash at the end.
        repository: Makes the repository of an image, by the image's name; without the prefix.
        login: How builds log in; None for as the machine is logged in.
        keeps_cache: Whether build layers are kept beside the images.
    """

    prefix: pulumi.Input[str]
    repository: Callable[[str], pulumi.Input[str]]
    login: Login | None = None
    keeps_cache: bool = False


@dataclass(frozen=True, slots=True)
class GpuNodes:
    """Nodes with GPUs, and what keeps other pods away from them.

    Attributes:
        resource: What a pod asks for to get a GPU.
        taint: The key of the nodes' taint; its effect is NoSchedule.
        selector: The labels that tell them from other nodes.
    """

    resource: str
    taint: str
    selector: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Kubernetes cluster.

    Attributes:
        provider: The provider of all objects in it.
        name: Its name.
        kubeconfig_path: Where a kubeconfig lies with which its user reaches it, once `kubeconfig_command` was run.
        kubeconfig_command: A command that writes a kubeconfig.
        ready: What must be there before pods can run, and must outlive them.
        gpu: Its nodes with GPUs; None for none.
    """

    provider: kubernetes.Provider
    name: pulumi.Input[str]
    kubeconfig_path: str
    kubeconfig_command: pulumi.Input[str]
    ready: Sequence[pulumi.Resource] = ()
    gpu: GpuNodes | None = None


@dataclass(frozen=True, slots=True)
class Database(Generic[S]):
    """An empty Postgres database.

    Attributes:
        host: Its host name, as containers see it; known once connections are accepted.
        port: Its port.
        name: The database's name.
        access: What makes a client its user: libpq's own variables, and those of `mlflow_server`.
        preparing: What lets the schema's upgrade give that user its rights; empty where it has them.
    """

    host: pulumi.Input[str]
    port: pulumi.Input[int]
    name: pulumi.Input[str]
    access: Access[S]
    preparing: Access[S] = field(default_factory=Access[S])


@dataclass(frozen=True, slots=True)
class Bucket(Generic[S]):
    """A bucket that speaks S3.

    Attributes:
        name: Its name.
        endpoint: The store's URL, as containers see it; known once requests are answered.
        region: The region that requests are signed for.
        access: What a client, by its name, needs to read it, and to write to it too if so asked.
    """

    name: pulumi.Input[str]
    endpoint: pulumi.Input[str]
    region: str
    access: Callable[[str, bool], Access[S]]


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """A load balancer that the cluster makes for a Service.

    Attributes:
        ports: Its ports; all lead to the application.
        annotations: What the cloud's controller is told.
        sources: The CIDR blocks that may connect.
    """

    ports: Mapping[str, int]
    annotations: Mapping[str, pulumi.Input[str]]
    sources: Sequence[str]


@dataclass(frozen=True, slots=True)
class Exposure:
    """How an application becomes reachable from outside of the cluster.

    Attributes:
        url: The URL, of the Service that faces outside.
        node_port: The Service's node port; None for a Service that is reached in the cluster only.
        load_balancer: The Service of its own that faces outside; None where the application's own does.
        annotations: The annotations of the application's own Service.
    """

    url: Callable[[Service], pulumi.Output[str]]
    node_port: int | None = None
    load_balancer: LoadBalancer | None = None
    annotations: Mapping[str, str] = field(default_factory=dict[str, str])


class Cloud(Protocol):
    """A cloud with Kubernetes, or a cluster in its place."""

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

    def database(self, name: str, placement: Placement) -> Database[SecretKey]:
        """A database for the client of its name; the placement is for what of it is in the cluster."""
        ...

    def bucket(self, name: str, placement: Placement) -> Bucket[SecretKey]:
        """A bucket; the placement is for the same things."""
        ...

    def keep_secrets(self, app: App, entries: Mapping[str, str]) -> pulumi.Output[Mapping[str, str]] | None:
        """What an application's secrets are by the cloud's own store, where they are kept from now on.

        Args:
            app: Whose secrets these are.
            entries: What they are if the store has none yet.

        Returns:
            The entries; None where the cloud has no store, so that the cluster is the place.
        """
        ...


# What a secret variable of a container is taken from, without Kubernetes: a secret value, or the address of one.
LightSecret = pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """A secret that was made once and is kept.

    Attributes:
        reference: What containers get it by.
        value: The secret itself.
    """

    reference: LightSecret
    value: pulumi.Output[str]


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image in the registry.

    Attributes:
        name: Its repository, without the registry's prefix.
        ref: The repository and the digest.
        digest: The digest.
    """

    name: str
    ref: pulumi.Input[str]
    digest: pulumi.Input[str]


@dataclass(frozen=True, slots=True)
class Container:
    """A container that answers HTTP, where there is no Kubernetes.

    Attributes:
        image: The image.
        program: The program in it, which is its entry point.
        arguments: What follows the program.
        access: Its variables and secrets, and what it runs as.
        port: Where it listens.
        health_path: What answers 200 while it is well.
        replicas: How many there are.
        release: Arguments of the run that must succeed before a new version serves; empty for none.
        releasing: What that run has besides.
    """

    image: ImageRef
    program: Sequence[str]
    arguments: Sequence[pulumi.Input[str]]
    access: Access[LightSecret]
    port: int
    health_path: str
    replicas: int
    release: Sequence[pulumi.Input[str]] = ()
    releasing: Access[LightSecret] = field(default_factory=Access[LightSecret])


class LightCloud(Protocol):
    """A cloud's service of containers, without Kubernetes."""

    @property
    def registry(self) -> Registry:
        """Where images go."""
        ...

    @property
    def hosts(self) -> str:
        """The host names that containers get, as a pattern with `*`."""
        ...

    def database(self, name: str) -> Database[LightSecret]:
        """A database for the container of its name."""
        ...

    def bucket(self, name: str) -> Bucket[LightSecret]:
        """A bucket."""
        ...

    def secret(self, name: str) -> KeptSecret:
        """A password that is made once."""
        ...

    def run(self, name: str, container: Container) -> pulumi.Output[str]:
        """Run a container; gives its URL, known once it answers."""
        ...
