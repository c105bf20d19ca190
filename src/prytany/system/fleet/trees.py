"""Supervision as a fleet file declares it: what can be wrong with it, and the trees that it comes to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from prytany.abi import limits
from prytany.abi import supervision as words
from prytany.kernel.fleet_trees import Tree, add_to_tree, groups_of, start_tree
from prytany.kernel.kernel import Kernel
from prytany.process.process import Process
from prytany.system.fleet.form_trees import Group, span_ms

Found = Iterator[tuple[tuple[str | int, ...], str]]
GROUPS_DEEP_MAX = 16


def tree_faults(groups: Mapping[str, Group], agents: Collection[str], services: Collection[str]) -> Found:
    """What is wrong with the groups of a fleet; each thing once.

    Args:
        groups: by name.
        agents: the names of all.
        services: of those that `up` starts by themselves.
    """
    above: dict[str, str] = {}
    for name, group in groups.items():
        path = ("supervise", name)
        if name in agents:
            yield path, "an agent has this name, too"
        if not group.children:
            yield (*path, "children"), "name at least one"
        if not 1 <= span_ms(group.period) <= words.PERIOD_MS_MAX:
            yield (*path, "period"), f"it is at most {words.PERIOD_MS_MAX // 3_600_000}h"
        for at, child in enumerate(group.children):
            if child not in agents and child not in groups:
                yield (*path, "children", at), f"there is no agent or group {child!r}"
            elif child in above:
                yield (*path, "children", at), f"{child!r} stands in the group {above[child]!r} already"
            elif child in services:
                yield (*path, "children", at), f"its group starts {child!r}: it needs no `service`"
            above.setdefault(child, name)
    for name in groups:
        upper, steps = name, 0
        while upper in above and steps <= GROUPS_DEEP_MAX:
            upper, steps = above[upper], steps + 1
        if steps > GROUPS_DEEP_MAX:
            yield ("supervise", name), f"it stands in itself, or more than {GROUPS_DEEP_MAX} groups deep"
    if len(above) > limits.CHILDREN_MAX:
        yield ("supervise",), f"{limits.CHILDREN_MAX} children are the most"


def span_faults(progress: str, shutdown: str, path: tuple[str, ...]) -> Found:
    """What is wrong with the times of an agent; "" says nothing."""
    if progress and not words.PROGRESS_MS_MIN <= span_ms(progress) <= words.PROGRESS_MS_MAX:
        yield (*path, "progress_within"), "it is from 1s to 30d"
    if shutdown and span_ms(shutdown) > words.SHUTDOWN_MS_MAX:
        yield (*path, "shutdown"), "it is at most 1h"


def trees_of(groups: Mapping[str, Group]) -> list[Tree]:
    """The groups that stand in no other, with all that stands in them."""
    within = {child for group in groups.values() for child in group.children}
    return [_tree(groups, name) for name in groups if name not in within]


def _tree(groups: Mapping[str, Group], name: str) -> Tree:
    group = groups[name]
    children = [_tree(groups, child) if child in groups else child for child in group.children]
    return Tree(name, group.strategy, group.intensity, span_ms(group.period), group.restart, children)


def start_trees(
    kernel: Kernel, groups: Mapping[str, Group], number: int, added: Collection[str], *, uid: int, model: str
) -> list[int]:
    """Start the groups of a fleet that are not there; in those that are, what is `added` to the file. The pids."""
    trees = trees_of(groups)
    there = {group.name: group for group in groups_of(kernel, number)} if trees else {}
    started: list[int] = []
    for tree in trees:
        if tree.name not in there:
            started.append(start_tree(kernel, number, tree, uid=uid, model=model))
        else:
            started += _add(kernel, tree, there, added, uid, model)
    return started


def _add(
    kernel: Kernel, tree: Tree, there: Mapping[str, Process], added: Collection[str], uid: int, model: str
) -> list[int]:
    inner = [child for child in tree.children if isinstance(child, Tree)]
    new = [
        child
        for child in tree.children
        if (child.name not in there if isinstance(child, Tree) else child in added)
    ]  # fmt: skip
    group = there[tree.name]
    started = add_to_tree(kernel, group, new, uid=uid, model=model) if new else []
    for child in inner:
        if child.name in there:
            started += _add(kernel, child, there, added, uid, model)
    return started
