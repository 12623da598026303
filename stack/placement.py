"""Where a stack's Kubernetes objects go, and how they are labelled."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgsDict

# An `up` puts back what somebody changed by hand, rather than to stop at a field that now has another manager.
OURS = {"pulumi.com/patchForce": "true"}


@dataclass(frozen=True, slots=True)
class App:
    """One application among a stack's objects.

    Attributes:
        name: What it is, such as `mlflow`.
        component: What it is to the platform, such as `tracking-server`.
        instance: The stack.
        namespace: Where its objects are.
    """

    name: str
    component: str
    instance: str
    namespace: pulumi.Input[str]

    @property
    def selector(self) -> dict[str, str]:
        """The labels that tell its pods from all others in the namespace."""
        return {"app.kubernetes.io/name": self.name, "app.kubernetes.io/component": self.component}

    @property
    def labels(self) -> dict[str, str]:
        """The labels of each of its objects. Source: Kubernetes, "Recommended Labels"."""
        return self.selector | platform_labels(self.instance)

    @property
    def metadata(self) -> ObjectMetaArgsDict:
        """The metadata of each of its objects; Pulumi gives the name."""
        return {"namespace": self.namespace, "labels": self.labels, "annotations": OURS}


@dataclass(frozen=True, slots=True)
class Placement:
    """A stack's part of a cluster.

    Attributes:
        namespace: The namespace, which is the stack's own.
        instance: The stack.
    """

    namespace: pulumi.Input[str]
    instance: str

    def app(self, name: str, component: str) -> App:
        """An application that goes here."""
        return App(name, component, self.instance, self.namespace)


def platform_labels(instance: str) -> dict[str, str]:
    """The labels that all of a stack's objects have in common."""
    return {
        "app.kubernetes.io/instance": instance,
        "app.kubernetes.io/part-of": "inference-platform",
        "app.kubernetes.io/managed-by": "pulumi",
    }
