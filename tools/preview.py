"""What a deployment would make, rendered from a run of the program without engine, plugin or credential."""

import json
from collections import defaultdict
from collections.abc import Iterator

import yaml

from stack.cost import estimate
from stack.settings import Settings, SettingsError
from tools import stack_file
from tools.errors import ToolError
from tools.offline.engine import run_program
from tools.offline.graph import Graph, Resource

# What a local stack is told by the machine that it is brought up on.
_MACHINES = {"inference-platform:registry": "127.0.0.1:5000/inference-platform"}


def offline(stack: str, form: str) -> str:
    """The resources of a stack as its committed configuration makes them.

    Args:
        stack: The stack.
        form: `json` for {"resources": [{"type", "name", "inputs"}, ...]}, `text` for people.

    Raises:
        ToolError: there is no such form, or the configuration is wrong.
    """
    if form not in ("json", "text"):
        raise ToolError(f"FORMAT is {form!r}", "set it to json or text")
    config = _config(stack)
    try:
        settings = Settings.parse(config)
    except SettingsError as error:
        raise ToolError(f"the configuration of stack {stack!r} is wrong: {error}", "mend what it names") from error
    graph = run_program(config, stack)
    if form == "json":
        resources = [{"type": it.type, "name": it.name, "inputs": it.inputs} for it in graph.resources]
        return json.dumps({"resources": resources}, indent=2)
    cost = estimate(settings)
    priced = [] if cost is None else ["", "Estimated cost:", *cost.table.splitlines()]
    return "\n".join([*_tree(graph), *priced])


def _config(stack: str) -> dict[str, str]:
    """The committed configuration as the engine gives it to the program."""
    written = stack_file.committed(stack)
    machines = {} if written.get("inference-platform:cloud") != "local" else _MACHINES
    values = {**machines, **written}
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}


def _tree(graph: Graph) -> Iterator[str]:
    children: dict[str, list[Resource]] = defaultdict(list)
    known = {it.urn for it in graph.resources}
    for it in graph.resources:
        children[it.parent if it.parent in known else ""].append(it)

    def lines(parent: str, depth: int) -> Iterator[str]:
        for it in children[parent]:
            indent = "  " * depth
            yield f"{indent}+ {it.type} {it.name}"
            if it.inputs and not it.is_component:
                text = yaml.safe_dump(it.inputs, width=120)
                yield from (f"{indent}    {line}" for line in text.splitlines())
            yield from lines(it.urn, depth + 1)

    yield from lines("", 0)
    yield ""
    yield f"{len(graph.resources)} to create"
    yield "outputs:"
    shown = {key: "[secret]" if key in graph.secret_outputs else value for key, value in graph.outputs.items()}
    yield from (f"    {line}" for line in yaml.safe_dump(shown, width=200).splitlines())
