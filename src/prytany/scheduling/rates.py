"""The rates of one endpoint: what it allows, what it turned out to allow, and when it wants to be left alone.

A refusal (429, or 503 with Retry-After) stops everybody until the time that it names, or for a pause that doubles. The
first one ever takes the credit of bursts away. From then on a refusal of a call that began after the last cut, when
others had succeeded since, takes a tenth off what is asked for; each minute in which calls succeed at that brings a
hundredth of the limit back: additive increase, multiplicative decrease. Where nobody named a limit, a refusal makes one
of requests, out of what began within the last minute, if that was enough to tell; such a guess comes back faster, and
has no end.

What an endpoint says of itself in headers (limit, what is left, when it begins anew) is believed where it is less than
what the operator said.

Source: Chiu and Jain, "Analysis of the increase and decrease algorithms", Computer Networks 17, 1989; RFC 9110, 10.2.3.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from prytany.scheduling.asked import AskedSecond
from prytany.scheduling.budgets import SECOND_NS
from prytany.scheduling.pacing import PPM, WINDOW_NS, Pace, Slot

CUT_PPM = 900_000
RISE_PPM = 10_000
"""Of the limit, a window."""
LEARNED_RISE_PPM = 50_000
LEARNED_FROM = 10
"""Requests within a minute, at least, to guess a limit from."""
NEAR_PPM = 700_000
SHARE_PPM_MIN = 10_000
PAUSE_NS = 500_000_000
PAUSES_MAX = 6
"""Doublings of the pause where an endpoint refuses and does not say for how long."""
AWAY_PAUSES = 5
"""Pauses one after the other, with nothing answered in between, after which an endpoint is as good as gone."""


class Limits(msgspec.Struct, frozen=True):
    """What an operator says of an endpoint; 0 where nothing is said."""

    concurrency: int = 0
    requests_per_minute: int = 0
    tokens_per_minute: int = 0


NO_LIMITS = Limits()


class Taken(msgspec.Struct, frozen=True):
    """Where a call that began is counted."""

    request: Slot
    tokens: Slot
    amount: int


class Rates:
    """See the module. All times are the kernel's.

    Attributes:
        refusals: how often it was refused, for people.
        paused_ns: nobody begins before.
    """

    def __init__(self, limits: Limits = NO_LIMITS, window_ns: int = WINDOW_NS) -> None:
        self.limits = limits
        """What the operator says."""
        self.requests = Pace(limits.requests_per_minute, window_ns)
        self.tokens = Pace(limits.tokens_per_minute, window_ns)
        self.refusals = 0
        self.paused_ns = 0
        self._window_ns = window_ns
        self._began_ns = 0
        """When the first call began."""
        self._cut_ns = 0
        self._proved = True
        """A call that began since the last cut has succeeded."""
        self._pauses = 0
        self._grown_ns = 0

    def ready_ns(self, tokens: int, now_ns: int) -> int:
        """The earliest time at which a call of that many tokens may begin: `now_ns`, or later."""
        soonest_ns = max(now_ns, self.paused_ns)
        if not (self.requests.limit or self.tokens.limit):
            return soonest_ns
        return max(soonest_ns, self.requests.ready_ns(1, now_ns), self.tokens.ready_ns(tokens, now_ns))

    def take(self, tokens: int, now_ns: int) -> Taken:
        """A call begins."""
        if not self._began_ns:
            self._began_ns = now_ns
        return Taken(self.requests.take(1, now_ns), self.tokens.take(tokens, now_ns), tokens)

    def remember(self, seconds: Iterable[AskedSecond]) -> None:
        """What an earlier kernel asked within the last minute, oldest first. Before anything is taken."""
        for s in seconds:
            self.requests.remember(s.requests, (s.second + 1) * SECOND_NS)
            self.tokens.remember(s.tokens, (s.second + 1) * SECOND_NS)

    def settle(self, taken: Taken, tokens: int) -> None:
        """It took so many, as was reported: 0 where it was refused and not worked on."""
        self.tokens.correct(taken.tokens, tokens - taken.amount)

    def succeeded(self, begun_ns: int, now_ns: int) -> None:
        """A call was answered."""
        self._pauses = 0
        if begun_ns > self._cut_ns:
            self._proved = True
        since_ns = min(now_ns - self._grown_ns, self._window_ns // 8)
        if since_ns < self._window_ns >> 10:
            return
        self._grown_ns = now_ns
        for pace in (self.requests, self.tokens):
            if pace.learned:
                pace.share_ppm += LEARNED_RISE_PPM * since_ns // self._window_ns
            elif pace.share_ppm < PPM:
                pace.share_ppm = min(PPM, pace.share_ppm + RISE_PPM * since_ns // self._window_ns)

    def refused(self, begun_ns: int, now_ns: int, retry_after_ns: int | None = None) -> None:
        """A call was sent away. `retry_after_ns` is the time from now that the endpoint asked for."""
        self.refusals += 1
        self._grown_ns = now_ns
        misled = begun_ns > self._cut_ns and not self._proved
        if retry_after_ns is None or misled:
            self.pause(now_ns)  # what it said last was too soon: where refused requests count, it might be so for ever
        if retry_after_ns is not None:
            self.paused_ns = max(self.paused_ns, now_ns + retry_after_ns)
        if begun_ns <= self._cut_ns or not self._proved:
            return
        self._cut_ns, self._proved = now_ns, False
        named = [pace for pace in (self.requests, self.tokens) if pace.limit]
        if not named:
            self._learn(now_ns)
        elif any(not pace.strict for pace in named):
            for pace in named:
                pace.strict = True
        else:
            for pace in named:
                pace.share_ppm = max(SHARE_PPM_MIN, pace.share_ppm * CUT_PPM // PPM)

    def near(self, now_ns: int) -> bool:
        """Whether so much began within the last minute that a refusal may be for that."""
        paces = (self.requests, self.tokens)
        return any(pace.limit and pace.within_window(now_ns) * PPM >= NEAR_PPM * pace.allowed for pace in paces)

    def away(self, now_ns: int) -> bool:
        """Whether it wants to be left alone for longer than any limit of a minute could explain, or has said so again
        and again: who can go elsewhere does better there."""
        left_ns = self.paused_ns - now_ns
        return left_ns > self._window_ns or (left_ns > 0 and self._pauses >= AWAY_PAUSES)

    def pause(self, now_ns: int) -> None:
        """Nobody begins for a while, which doubles until a call is answered."""
        if now_ns >= self.paused_ns:  # else it was on its way
            pause_ns = PAUSE_NS * self._window_ns // WINDOW_NS
            self.paused_ns = now_ns + (pause_ns << min(self._pauses, PAUSES_MAX))
            self._pauses += 1

    def told(self, now_ns: int, *, requests: Told | None = None, tokens: Told | None = None) -> None:
        """What headers said. Nothing left is a pause until there is some; a limit below the operator's is the limit,
        until another is said."""
        for pace, told, said in (
            (self.requests, requests, self.limits.requests_per_minute),
            (self.tokens, tokens, self.limits.tokens_per_minute),
        ):
            if told is None:
                continue
            limit = min(told.limit, said) if said else told.limit
            if limit and (pace.learned or limit != pace.limit):
                pace.limit, pace.share_ppm, pace.learned = limit, PPM, False
            if told.left == 0 and told.reset_ns:
                self.paused_ns = max(self.paused_ns, now_ns + min(told.reset_ns, self._window_ns))

    def _learn(self, now_ns: int) -> None:
        began = self.requests.within_window(now_ns)
        if began >= LEARNED_FROM:
            seen_ns = min(self._window_ns, max(now_ns - self._began_ns, self._window_ns >> 6))
            self.requests.limit = began * self._window_ns // seen_ns
            self.requests.share_ppm = CUT_PPM
            self.requests.learned = self.requests.strict = True


class Told(msgspec.Struct, frozen=True):
    """What an endpoint's headers say of one quantity; -1 or 0 where they do not."""

    limit: int = 0
    left: int = -1
    reset_ns: int = 0
