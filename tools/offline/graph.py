"""What a run of the program declared."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

SECRET = "[secret]"  # noqa: S105 - what stands for one
UNKNOWN = "[known after deployment]"


@dataclass(frozen=True)
class Resource:
    """One registration.

    Attributes:
        type: Its type token.
        name: Its name in the program.
        inputs: Its inputs, with all that is secret replaced.
        secrets: What was secret, by input.
        parent: The URN of the component it is in.
        provider: The provider that makes it.
        dependencies: The URNs it waits for.
        ignored: The inputs whose changes are ignored.
        protected: Whether the engine refuses to delete it.
        urn: Its own URN.
    """

    type: str
    name: str
    inputs: dict[str, Any]
    secrets: dict[str, Any]
    parent: str
    provider: str
    dependencies: frozenset[str]
    ignored: tuple[str, ...]
    protected: bool
    urn: str

    @property
    def pod(self) -> dict[str, Any] | None:
        """The pod that a workload makes."""
        return self.inputs.get("spec", {}).get("template")

    @property
    def is_component(self) -> bool:
        """Whether it stands for others."""
        return self.type.startswith("inference-platform:")


@dataclass(frozen=True)
class Invoke:
    """One question to a provider.

    Attributes:
        token: The function.
        arguments: Its arguments.
    """

    token: str
    arguments: dict[str, Any]


@dataclass
class Graph:
    """What a run declared, asked and exported.

    Attributes:
        resources: The registrations, in their order.
        invokes: The questions.
        outputs: The exports.
        secret_outputs: Those that are secret.
        kept: What clouds' own stores of secrets had at the end, by the secret's name.
    """

    resources: list[Resource] = field(default_factory=list[Resource])
    invokes: list[Invoke] = field(default_factory=list[Invoke])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])
    secret_outputs: set[str] = field(default_factory=set[str])
    kept: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def kubernetes(self) -> list[Resource]:
        """What goes into the cluster as an object of its own."""
        helm = "kubernetes:helm.sh/v3:Release"
        return [it for it in self.resources if it.type.startswith("kubernetes:") and it.type != helm]

    @property
    def workloads(self) -> list[Resource]:
        """What makes pods."""
        return [resource for resource in self.kubernetes if resource.pod is not None]

    def of(self, kind: str) -> list[Resource]:
        """The resources whose provider's type ends so."""
        return [it for it in self.resources if not it.is_component and it.type.rpartition(":")[2] == kind]

    def one(self, kind: str, name: str) -> Resource:
        """The one of this name."""
        (found,) = [it for it in self.of(kind) if it.name == name]
        return found

    def waits_for(self, later: Resource, earlier: Resource) -> bool:
        """Whether the engine makes one after the other, by whatever way."""
        by_urn = {resource.urn: resource for resource in self.resources}
        seen: set[str] = set()
        waiting = [later.urn]
        while waiting:
            urn = waiting.pop()
            if urn not in seen and urn in by_urn:
                seen.add(urn)
                waiting += by_urn[urn].dependencies
        return earlier.urn in seen - {later.urn}

    def changes_from(self, before: "Graph") -> list[str]:
        """What a second deployment would do after a first one, a line each."""
        old = {it.urn: it for it in before.resources}
        new = {it.urn: it for it in self.resources}
        lines = [f"create {urn}" for urn in new.keys() - old.keys()]
        lines += [f"delete {urn}" for urn in old.keys() - new.keys()]
        for urn in new.keys() & old.keys():
            for key in sorted(old[urn].inputs.keys() | new[urn].inputs.keys()):
                if key not in new[urn].ignored and _of(old[urn], key) != _of(new[urn], key):
                    lines.append(f"update {urn} {key}")
        return sorted(lines)


def _of(resource: Resource, key: str) -> tuple[object, object]:
    secret = {path: value for path, value in resource.secrets.items() if path.startswith(key)}
    return resource.inputs.get(key), secret


def strings(value: object) -> Iterator[str]:
    """Every string in a value."""
    match value:
        case str():
            yield value
        case dict():
            for item in cast("dict[str, object]", value).values():
                yield from strings(item)
        case list():
            for item in cast("list[object]", value):
                yield from strings(item)
        case _:
            pass
