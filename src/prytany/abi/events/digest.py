"""How an event names content: by its keyed digest, never by itself."""

from __future__ import annotations

from typing import Annotated

import msgspec

Digest = Annotated[bytes, msgspec.Meta(extra={"digest": True})]
"""Names content that lies beside the chain; empty where there is none. What is not annotated so names nothing."""
