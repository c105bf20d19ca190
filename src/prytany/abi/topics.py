"""Names of topics, and patterns of them, as NATS has them.

A topic is of tokens with dots between them, `prices.eurusd`. In a pattern the token `*` stands for any one, and `>`,
which can only be the last, for one or more.
"""

from __future__ import annotations

from prytany.abi import limits
from prytany.abi.errors import Einval

ONE = "*"
REST = ">"


def check_topic(name: str, call: str = "") -> str:
    """`name`, where it is that of a topic; raises Einval."""
    for token in _tokens(name, "topic", call):
        if ONE in token or REST in token:
            raise Einval(f"{name[:200]!a} is no topic but a pattern: `*` and `>` stand in no topic", call=call)
    return name


def check_pattern(pattern: str, call: str = "") -> str:
    """`pattern`, where it is one; a topic is one too. Raises Einval."""
    tokens = _tokens(pattern, "pattern", call)
    for token in tokens:
        if token not in (ONE, REST) and (ONE in token or REST in token):
            raise Einval(f"{pattern[:200]!a} is no pattern: `*` and `>` are whole tokens", call=call)
    if REST in tokens[:-1]:
        raise Einval(f"{pattern[:200]!a} is no pattern: `>` can only be its last token", call=call)
    return pattern


def _tokens(name: str, what: str, call: str) -> list[str]:
    tokens = name.split(".")
    if len(name.encode("utf-8", "surrogatepass")) > limits.NAME_BYTES_MAX or len(tokens) > limits.TOPIC_TOKENS_MAX:
        raise Einval(
            f"a {what} has at most {limits.NAME_BYTES_MAX} bytes and {limits.TOPIC_TOKENS_MAX} tokens", call=call
        )
    if not all(tokens):
        raise Einval(f"{name[:200]!a} is no {what}: it has an empty token", call=call)
    if not name.isprintable() or " " in name:
        raise Einval(f"{name[:200]!a} is no {what}: it has a character that does not print, or a space", call=call)
    return tokens


def matches(pattern: str, topic: str) -> bool:
    """Whether a topic is one of those that a pattern stands for. Both were checked."""
    wanted, tokens = pattern.split("."), topic.split(".")
    if wanted[-1] == REST:
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
    elif len(wanted) != len(tokens):
        return False
    return all(want in (ONE, token) for want, token in zip(wanted, tokens, strict=False))
