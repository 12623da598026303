"""Every stack's graph, as it was reviewed: a change of it is a diff of a text file."""

import os
from pathlib import Path

import pytest
import yaml

from tools.offline.diagram import mermaid
from tools.offline.graph import Graph
from tools.places import REPOSITORY

_FOLDER = Path(__file__).parent / "snapshots"


def test_the_graph_is_the_one_that_was_reviewed(any_stack: tuple[str, Graph]) -> None:
    """`UPDATE_SNAPSHOTS=1 pytest tests/unit/stack` writes it anew."""
    name, graph = any_stack
    by_urn = {it.urn: f"{it.type} {it.name}" for it in graph.resources}
    content: dict[str, object] = {
        f"{it.type} {it.name}": {
            "inputs": it.inputs,
            "after": sorted(by_urn[urn] for urn in it.dependencies),
            **({"ignored": list(it.ignored)} if it.ignored else {}),
            **({"protected": True} if it.protected else {}),
        }
        for it in sorted(graph.resources, key=lambda it: (it.type, it.name))
    }
    assert len(content) == len(graph.resources), "two of a type have one name"
    text = yaml.safe_dump(content, width=120)
    file = _FOLDER / f"{name}.yaml"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("stack", ["dev", "prod"])
def test_the_picture_is_of_the_graph(stack: str, request: pytest.FixtureRequest) -> None:
    graph: Graph = request.getfixturevalue(stack)
    page = REPOSITORY / "docs" / "clouds.md"
    before, mark, rest = page.read_text().partition(f"<!-- {stack} -->\n")
    _, end, after = rest.partition("<!-- end -->")
    drawn = f"{len(graph.resources)} resources.\n\n```mermaid\n{mermaid(graph)}\n```\n"
    text = before + mark + drawn + end + after
    if os.environ.get("UPDATE_SNAPSHOTS"):
        page.write_text(text)
    assert text == page.read_text()
