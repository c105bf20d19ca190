"""Names of topics, patterns, and who is found: held against a naive oracle; and what a log keeps and lets go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from prytany.abi import limits
from prytany.abi.errors import Einval
from prytany.abi.topics import check_pattern, check_topic, matches
from prytany.ipc import subscribed
from prytany.ipc.subscribed import Node

TOKEN = st.sampled_from(["a", "b", "c"])
TOPIC = st.lists(TOKEN, min_size=1, max_size=5).map(".".join)
PATTERN = st.builds(
    lambda tokens, rest: ".".join([*tokens, ">"] if rest else tokens),
    st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=4),
    st.booleans(),
) | st.just(">")


def oracle(pattern: list[str], topic: list[str]) -> bool:
    """By the words of the definition, token for token."""
    if not pattern or not topic:
        return not pattern and not topic
    if pattern[0] == ">":
        return True
    return pattern[0] in ("*", topic[0]) and oracle(pattern[1:], topic[1:])


@given(PATTERN, TOPIC)
def test_a_pattern_stands_for_what_its_tokens_say(pattern: str, topic: str) -> None:
    assert check_pattern(pattern) == pattern
    assert check_topic(topic) == topic
    assert matches(pattern, topic) == oracle(pattern.split("."), topic.split("."))


class Subscribing(RuleBasedStateMachine):
    """Patterns come and go; who is found is who a look at each pattern finds, and what is left is what is used."""

    pairs = Bundle("pairs")

    def __init__(self) -> None:
        super().__init__()
        self.root = Node()
        self.held: set[tuple[str, int]] = set()

    @rule(target=pairs, pattern=PATTERN, who=st.integers(1, 5))
    def add(self, pattern: str, who: int) -> tuple[str, int]:
        subscribed.add(self.root, pattern, who)
        self.held.add((pattern, who))
        return pattern, who

    @rule(pair=consumes(pairs))
    def remove(self, pair: tuple[str, int]) -> None:
        if pair in self.held:
            subscribed.remove(self.root, *pair)
            self.held.remove(pair)

    @rule(topic=TOPIC)
    def find(self, topic: str) -> None:
        found = list(subscribed.reached(self.root, topic))
        assert len(found) == len(set(found))
        assert set(found) == {who for pattern, who in self.held if matches(pattern, topic)}

    @invariant()
    def nothing_is_left_of_who_went(self) -> None:
        def leaves(node: Node) -> int:
            assert node is self.root or not node.empty
            return len(node.here) + len(node.rest) + sum(map(leaves, node.below.values()))

        assert leaves(self.root) == len(self.held)


TestSubscribing = Subscribing.TestCase

BAD_TOPICS = [
    "", ".", "a.", ".a", "a..b", "a.*", "a.>", "*", ">", "a*", "a b", "a\tb", "a\n", "a\x00b", "a\u202eb", "a\ud800",
    "x" * (limits.NAME_BYTES_MAX + 1), "ä" * (limits.NAME_BYTES_MAX // 2 + 1), ".".join("a" * 17),
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_TOPICS)
def test_what_is_no_topic_is_refused(name: str) -> None:
    with pytest.raises(Einval):
        check_topic(name)


@pytest.mark.parametrize(
    "pattern", ["", ".", "a.", "a..*", ">.a", "a.>.b", "a*", "*a", "a.b>", ">>", "**", "a b", "a\x1b"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(Einval):
        check_pattern(pattern)


@pytest.mark.parametrize("name", ["a", "prices.eurusd", "ä.ö", "x" * limits.NAME_BYTES_MAX, ".".join("a" * 16)])
def test_what_is_a_topic_is_a_pattern_of_itself_alone(name: str) -> None:
    assert matches(check_pattern(check_topic(name)), name)
