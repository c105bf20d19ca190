"""The operator's files, on behalf of agents."""

from __future__ import annotations

from typing import Protocol


class Files(Protocol):
    """Files below unveiled folders. Each call raises KernelError; `unveil` maps a folder to `r` or `rw`."""

    async def read(self, unveil: dict[str, str], path: str) -> bytes:
        """A whole file."""
        ...

    async def write(self, unveil: dict[str, str], path: str, data: bytes) -> int:
        """A whole file put in place; its size in bytes."""
        ...

    async def list(self, unveil: dict[str, str], path: str) -> list[str]:
        """Names, sorted."""
        ...
