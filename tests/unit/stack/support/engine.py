"""A stand-in for the engine and its providers: runs the real program and keeps what it declares."""
# Pulumi's mocks are typed in part.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
import runpy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pulumi
from pulumi.runtime import mocks, rpc

REPOSITORY = Path(__file__).parents[4]
REQUIRED = {"inference-platform:registry": "10.0.0.2:5000/inference-platform"}
DIGEST = f"sha256:{'5' * 64}"

_SECRET = "[secret]"


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
    urn: str

    @property
    def pod(self) -> dict[str, Any] | None:
        """The pod that a workload makes."""
        return self.inputs.get("spec", {}).get("template")


@dataclass
class Deployed:
    """What a run of the program declared and exported."""

    resources: list[Resource] = field(default_factory=list[Resource])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def kubernetes(self) -> list[Resource]:
        return [resource for resource in self.resources if resource.type.startswith("kubernetes:")]

    @property
    def workloads(self) -> list[Resource]:
        return [resource for resource in self.kubernetes if resource.pod is not None]

    def one(self, kind: str, name: str) -> Resource:
        """The resource of this name whose provider's type ends so."""
        provided = [it for it in self.resources if not it.type.startswith("inference-platform:")]
        (found,) = [it for it in provided if it.type.rpartition(":")[2] == kind and it.name == name]
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


class _Monitor(mocks.MockMonitor):
    """Keeps what the mocks' interface leaves out: dependencies, parents, ignored changes."""

    def __init__(self, deployed: Deployed) -> None:
        super().__init__(_Providers())
        self._deployed = deployed

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            secrets: dict[str, Any] = {}
            inputs = rpc.deserialize_properties(request.object)
            self._deployed.resources.append(
                Resource(
                    type=request.type,
                    name=request.name,
                    inputs={key: _plain(value, key, secrets) for key, value in inputs.items()},
                    secrets=secrets,
                    parent=request.parent,
                    provider=request.provider,
                    dependencies=frozenset(request.dependencies),
                    ignored=tuple(request.ignoreChanges),
                    urn=response.urn,
                )
            )
        return response


class _Providers(mocks.Mocks):
    """Names what has none, and gives images their digest."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        state = dict(args.inputs)
        if args.typ.startswith("kubernetes:"):
            state["metadata"] = {"name": f"{args.name}-1a2b3c4d", **state["metadata"]}
        elif args.typ == "docker-build:index:Image":
            state["digest"] = DIGEST
        return f"{args.name}-id", state

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[Any, Any], list[tuple[str, str]] | None]:
        raise AssertionError(f"the program asks a provider: {args.token}")


def deploy(config: Mapping[str, str] | None = None, stack: str = "local") -> Deployed:
    """Run `__main__.py` with this config, on top of what is required."""
    deployed = Deployed()
    exported: dict[str, pulumi.Input[Any]] = {}
    mocks.set_mocks(_Providers(), "inference-platform", stack, preview=False, monitor=_Monitor(deployed))
    environment = {"PULUMI_CONFIG": json.dumps({**REQUIRED, **(config or {})}), "PULUMI_CONFIG_SECRET_KEYS": "[]"}

    def program() -> pulumi.Output[Any]:
        with mock.patch.object(pulumi, "export", exported.__setitem__):
            runpy.run_path(str(REPOSITORY / "__main__.py"))
        return pulumi.Output.all(**exported).apply(deployed.outputs.update)

    test: Callable[[], None] = mocks.test(program)
    with mock.patch.dict("os.environ", environment):
        test()
    return deployed


def _plain(value: Any, path: str, secrets: dict[str, Any]) -> Any:
    """A value as a person would write it: whole numbers whole, secrets out of sight."""
    if rpc.is_rpc_secret(value):
        secrets[path] = rpc.unwrap_rpc_secret(value)
        return _SECRET
    match value:
        case dict():
            return {key: _plain(item, f"{path}.{key}", secrets) for key, item in value.items()}
        case list():
            return [_plain(item, f"{path}[{index}]", secrets) for index, item in enumerate(value)]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value


def strings(value: Any) -> Iterator[str]:
    """Every string in a value."""
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from strings(item)
        case list():
            for item in value:
                yield from strings(item)
        case _:
            pass
