"""What stands in for the engine: runs the real program and keeps what it declares."""
# Pulumi's mocks are typed in part.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
import os
import runpy
from collections.abc import Awaitable, Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from typing import Any

import pulumi
from google.protobuf.json_format import MessageToDict
from pulumi.output import Unknown
from pulumi.runtime import mocks, rpc

from tools.offline.graph import SECRET, UNKNOWN, Graph, Resource
from tools.offline.providers import Providers
from tools.places import REPOSITORY
from tools.stack_file import PROJECT


class _Signatures:
    """How the wire marks what JSON has no form for. Source: Pulumi, `sdk/go/common/resource/plugin/rpc.go`."""

    key = "4dabf18193072939515e22adb298388d"
    secret = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - a public constant


class _Monitor(mocks.MockMonitor):
    """Keeps what the mocks' interface leaves out: dependencies, parents, ignored changes."""

    def __init__(self, graph: Graph, providers: Providers) -> None:
        super().__init__(providers)
        self._graph = graph

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 - gRPC's name
        response = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            secrets: dict[str, Any] = {}
            # As it is on the wire: the SDK's own reader makes a secret of all that has a secret in it.
            inputs = MessageToDict(request.object)
            self._graph.resources.append(
                Resource(
                    type=request.type,
                    name=request.name,
                    inputs={key: _plain(inputs[key], key, secrets) for key in sorted(inputs)},
                    secrets=secrets,
                    parent=request.parent,
                    provider=request.provider,
                    dependencies=frozenset(request.dependencies),
                    ignored=tuple(request.ignoreChanges),
                    protected=request.protect,
                    urn=response.urn,
                )
            )
        return response


def run_program(
    config: Mapping[str, str],
    stack: str,
    *,
    preview: bool = False,
    secret: Collection[str] = (),
    kept: Mapping[str, str] | None = None,
) -> Graph:
    """Run `__main__.py`.

    Args:
        config: The stack's config, as the engine gives it: lists and the like as JSON.
        stack: The stack's name.
        preview: Whether what only clouds know stays unknown.
        secret: The keys whose values are secret.
        kept: What clouds' stores of secrets have from an earlier run.
    """
    graph = Graph(kept=dict(kept or {}))
    providers = Providers(graph, preview=preview)
    mocks.set_mocks(providers, PROJECT, stack, preview=preview, monitor=_Monitor(graph, providers))
    exported: dict[str, pulumi.Output[Any]] = {}

    def program() -> Awaitable[None]:
        def export(name: str, value: pulumi.Input[Any]) -> None:
            exported[name] = pulumi.Output.from_input(value)

        with _replaced(pulumi, "export", export):
            runpy.run_path(str(REPOSITORY / "__main__.py"))
        return _collect(graph, exported)

    run: Callable[[], None] = mocks.test(program)
    environment = {"PULUMI_CONFIG": json.dumps(dict(config)), "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(secret))}
    before = {key: os.environ.get(key) for key in environment}
    os.environ.update(environment)
    try:
        run()
    finally:
        for key, value in before.items():
            if value is None:
                del os.environ[key]
            else:
                os.environ[key] = value
    return graph


async def _collect(graph: Graph, exported: Mapping[str, pulumi.Output[Any]]) -> None:
    for name, value in exported.items():
        graph.outputs[name] = _plain(await value.future(), name, {}) if await value.is_known() else UNKNOWN
        if await value.is_secret():
            graph.secret_outputs.add(name)


@contextmanager
def _replaced(owner: Any, name: str, value: object) -> Generator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _plain(value: Any, path: str, secrets: dict[str, Any]) -> Any:
    """A value as a person would write it: whole numbers whole, secrets out of sight, and only those."""
    match value:
        case Unknown() | rpc.UNKNOWN:
            return UNKNOWN
        case {_Signatures.key: _Signatures.secret, "value": hidden}:
            secrets[path] = _plain(hidden, path, {})
            return SECRET
        case dict():
            return {key: _plain(item, f"{path}.{key}", secrets) for key, item in value.items()}
        case list():
            return [_plain(item, f"{path}[{index}]", secrets) for index, item in enumerate(value)]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
