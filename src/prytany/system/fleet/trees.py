"""Supervision as a fleet file declares it: what can be wrong with it, and the trees that it comes to."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Protocol

from prytany.abi import limits
from prytany.abi import supervision as words
from prytany.kernel.fleet_trees import Pooled, Tree, add_to_tree, groups_of, start_tree
from prytany.kernel.kernel import Kernel
from prytany.process.process import Process
from prytany.system.fleet.form_trees import Group, Replicas, span_ms

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


def replicas_faults(replicas: Replicas | None, path: tuple[str, ...]) -> Found:
    """What is wrong with the bounds of a pool."""
    if replicas is None:
        return
    if not 1 <= replicas.min <= replicas.max <= limits.POOL_MEMBERS_MAX:
        yield (*path, "replicas"), f"`min` is at least 1, and `max` no less and at most {limits.POOL_MEMBERS_MAX}"
    if not 1 <= replicas.target_queue <= limits.MAILBOX_MESSAGES_MAX:
        yield (*path, "replicas", "target_queue"), f"it is from 1 to {limits.MAILBOX_MESSAGES_MAX}"
    if not words.PROGRESS_MS_MIN <= span_ms(replicas.idle) <= words.PERIOD_MS_MAX:
        yield (*path, "replicas", "idle"), "it is from 1s to 24h"


class Agent(Protocol):
    """An agent of a fleet, as trees see it."""

    @property
    def service(self) -> bool:
        """`up` starts it by itself."""
        ...

    @property
    def restart(self) -> str:
        """Which of its ends are not for good."""
        ...

    @property
    def replicas(self) -> Replicas | None:
        """How many of it there are."""
        ...


def trees_of(groups: Mapping[str, Group], agents: Mapping[str, Agent]) -> list[Tree]:
    """The groups that stand in no other, with all that stands in them; and services that are pools."""
    within = {child for group in groups.values() for child in group.children}
    trees = [_tree(groups, agents, name) for name in groups if name not in within]
    return trees + [
        _pool(name, agent, agent.replicas) for name, agent in agents.items() if agent.service and agent.replicas
    ]


def _tree(groups: Mapping[str, Group], agents: Mapping[str, Agent], name: str) -> Tree:
    group = groups[name]
    children: list[Any] = []
    for child in group.children:
        replicas = agents[child].replicas if child in agents else None
        if child in groups:
            children.append(_tree(groups, agents, child))
        else:
            children.append(_pool(child, agents[child], replicas) if replicas is not None else child)
    return Tree(name, group.strategy, group.intensity, span_ms(group.period), group.restart, children)


def _pool(name: str, agent: Agent, replicas: Replicas) -> Tree:
    pooled = Pooled(replicas.min, replicas.max, replicas.target_queue, span_ms(replicas.idle))
    intensity = min(words.INTENSITY * replicas.max, words.INTENSITY_MAX)
    children = [name] * replicas.min
    return Tree(
        name, words.Strategy.DYNAMIC, intensity, words.PERIOD_MS, agent.restart or "permanent", children, pooled
    )


def start_trees(
    kernel: Kernel,
    groups: Mapping[str, Group],
    agents: Mapping[str, Agent],
    number: int,
    added: Collection[str],
    *,
    uid: int,
    model: str,
) -> list[int]:
    """Start the groups of a fleet that are not there; in those that are, what is `added` to the file. The pids."""
    trees = trees_of(groups, agents)
    there = {group.name: group for group in groups_of(kernel, number)} if trees else {}
    started: list[int] = []
    for tree in trees:
        if tree.name not in there:
            started.append(start_tree(kernel, number, tree, uid=uid, model=model))
        elif tree.pool is None:
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
        if child.name in there and child.pool is None:
            started += _add(kernel, child, there, added, uid, model)
    return started
