"""Striking out secrets, before anything of a tool is kept: from what it prints, raises and answers.

A secret is found as it is, and as JSON, Python, a URL and base64 write it. What else a tool makes of it (half of it,
its letters reversed) is found by nobody.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import msgspec

SECRET_CHARACTERS_MIN = 4
"""Shorter ones are not struck out: they would take half of every text with them, and are no secrets."""


class Strike:
    """Strikes out the values of these secrets."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        found: dict[bytes, bytes] = {}
        for name, value in sorted(secrets.items()):
            if len(value) < SECRET_CHARACTERS_MIN:
                continue
            raw = value.encode("utf-8", "surrogateescape")
            written = {
                raw, json.dumps(value)[1:-1].encode(), repr(value)[1:-1].encode("utf-8", "surrogateescape"),
                quote(raw, safe="").encode(), quote_plus(raw).encode(), base64.b64encode(raw).rstrip(b"="),
            }  # fmt: skip
            found.update(dict.fromkeys(written, f"[{name}]".encode()))
        self._found = sorted(found.items(), key=lambda item: (-len(item[0]), item[0]))
        self._longest = max((len(value) for value in found), default=0)
        self._rest = b""

    def data(self, data: bytes) -> bytes:
        """`data` without them."""
        for value, name in self._found:
            data = data.replace(value, name)
        return data

    def text(self, text: str) -> str:
        """`text` without them."""
        return self.data(text.encode("utf-8", "surrogatepass")).decode("utf-8", "replace") if self._found else text

    def packed(self, value: bytes) -> Any:
        """A packed result without them: as it is where it holds none, else decoded."""
        if not any(found in value for found, _ in self._found):
            return msgspec.Raw(value)
        return self._plain(msgspec.msgpack.decode(value))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.data(value)
        if isinstance(value, list):
            return [self._plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, dict):
            return {self._plain(k): self._plain(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType]
        return value

    def stream(self, data: bytes, *, last: bool = False) -> bytes:
        """The next piece of a stream without them; an end that could be the beginning of one is kept back."""
        data = self._rest + data
        keep = 0
        if not last:
            for size in range(min(len(data), self._longest - 1), 0, -1):
                if any(value.startswith(data[-size:]) for value, _ in self._found):
                    keep = size
                    break
        self._rest = data[len(data) - keep :]
        return self.data(data[: len(data) - keep])
