"""A call of a model, as those see it who decide when it may begin: plain data, and no content."""

from __future__ import annotations

import msgspec

from prytany.abi.qos import QOS, WEIGHT_MAX, Qos

__all__ = ["QOS", "WEIGHT_MAX", "Call", "Qos"]


class Call(msgspec.Struct):
    """One attempt that waits, or is under way. The queue sets `offered_ns` and what follows it; the rest is given."""

    key: int
    """Of this call alone; in the order in which calls were made, so that it breaks every tie."""
    agent: int
    """Who is charged for it: the process, or whoever it works for."""
    qos: Qos = Qos.UTILITY
    prompt: int = 1
    """Tokens of what is asked, as expected; >= 1."""
    completion: int = 1
    """Tokens of the answer, as expected; >= 1."""
    weight: int = 1
    """Share of its agent beside the others, 1 to `WEIGHT_MAX`."""
    deadline_ns: int = 0
    """When it has to begin at the latest, in the kernel's time; 0 where nobody said."""
    tenant: int = 0
    kind: str = ""
    """What calls it is like; see `estimate`."""
    prompt_most: int = 0
    """The most tokens that its prompt can have; 0 where `prompt` and `completion` are no guesses."""
    answer_most: int = 0
    """The same of its answer."""
    guessed: int = 0
    """The edition of the estimates by which its tokens were guessed last."""
    offered_ns: int = 0
    """When it was first offered; kept when it is offered again, so that nobody ages anew after a refusal."""
    begun_ns: int = 0
    """When its present attempt began; 0 while it waits."""
    charged: int = 0
    """What its policy charged its agent as the present attempt began."""
    refusals: int = 0
    """How often the endpoint sent it away."""
    yielded: int = 0
    """How often it gave way to another."""
    delivered: bool = False
    """Something of its answer has reached its agent: it may not be made again."""

    @property
    def tokens(self) -> int:
        """What it is expected to take of a limit of tokens."""
        return self.prompt + self.completion
