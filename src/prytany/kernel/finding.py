"""Finding programs: as they are on disk, or as they were recorded where their file is gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prytany.abi.errors import Enoent
from prytany.kernel.outcome import Program, Programs


class Finding:
    """What a program's name means now."""

    def __init__(
        self, find_program: Callable[..., Program], programs: Programs | None, content: Callable[[bytes], bytes],
        environment: Callable[[str], str],
    ) -> None:  # fmt: skip
        """`content` gives what was recorded, by its digest; `environment` what an interpreter's is."""
        self._environment = environment
        self._find_program = find_program
        self._programs = programs
        self._content = content

    def find_program(self, target: str, beside: str, source: bytes = b"", closed: Sequence[str] = ()) -> Program:
        """Resolve a program's name. Where the file of the program `beside` is gone, it is taken from its recorded
        `source`: what is in flight goes on without it. Raises Enoent, and Eacces for a file below one of `closed`."""
        try:
            return self._find_program(target, beside, **({"closed": closed} if closed else {}))
        except Enoent:
            if not source or not target.startswith(":"):
                raise
            return self._find_program(target, beside, self._content(source))

    def known_program(
        self, target: str, beside: str, source: bytes = b"", closed: Sequence[str] = ()
    ) -> Program | None:
        """As `find_program`, of a program that is known as it is now; None where it has to be read first."""
        if self._programs is None:
            return self.find_program(target, beside, source, closed)
        try:
            return self._programs.known(target, beside, closed=closed)
        except Enoent:
            if not source or not target.startswith(":"):
                raise
            return None  # its file has it no more; what was recorded may

    async def look_up(self, target: str, beside: str, source: bytes, closed: Sequence[str]) -> Program:
        """As `find_program`, while the kernel goes on."""
        if self._programs is None:
            return self.find_program(target, beside, source, closed)
        try:
            return await self._programs.look_up(target, beside, closed=closed)
        except Enoent:
            if not source or not target.startswith(":"):
                raise
            return await self._programs.look_up(target, beside, self._content(source))

    def environment(self, python: str) -> str:
        """What the environment of an interpreter is now."""
        return self._environment(python)
