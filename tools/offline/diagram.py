"""A graph of components, in the language of Mermaid, which code hosts draw."""

from tools.offline.graph import Graph, Resource


def mermaid(graph: Graph) -> str:
    """The components of a stack; an arrow leads from what comes first to what needs it, the shortest way only."""
    by_urn = {it.urn: it for it in graph.resources}
    owner = {it.urn: _owner(it, by_urn) for it in graph.resources}
    drawn = [it for it in graph.resources if it.is_component and owner[it.urn] is it]
    drawn.sort(key=lambda it: (it.type, it.name))  # calls to the engine are made at once, and come in any order
    before: dict[str, set[str]] = {it.urn: set() for it in drawn}
    for it in graph.resources:
        mine = owner[it.urn].urn
        for urn in it.dependencies:
            theirs = owner[urn].urn if urn in owner else ""
            if mine in before and theirs in before and theirs != mine:
                before[mine].add(theirs)
    children = {
        it.urn: sum(owner[each.urn] is it and not each.is_component for each in graph.resources) for it in drawn
    }
    names = {it.urn: f"n{index}" for index, it in enumerate(drawn)}
    lines = ["flowchart LR"]
    for it in drawn:
        area, kind = it.type.split(":")[1:]
        lines.append(f'    {names[it.urn]}["{kind} {it.name}<br/>{area}, {children[it.urn]}"]')
    lines += [
        f"    {names[first]} --> {names[then]}"
        for then, all_first in before.items()
        for first in sorted(all_first, key=lambda urn: names[urn])
        if not any(_reaches(before, other, first) for other in all_first - {first})
    ]
    return "\n".join(lines)


def _owner(resource: Resource, by_urn: dict[str, Resource]) -> Resource:
    while resource.parent in by_urn:
        resource = by_urn[resource.parent]
    return resource


def _reaches(before: dict[str, set[str]], start: str, goal: str) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        urn = waiting.pop()
        if urn == goal:
            return True
        if urn not in seen:
            seen.add(urn)
            waiting += before[urn]
    return False
