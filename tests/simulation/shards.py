"""Shards in virtual time that are closed after the test which made them."""

from __future__ import annotations

from prytany.testing.virtual_shard import VirtualShard

SHARDS: list[VirtualShard] = []
"""Of the test that runs."""
