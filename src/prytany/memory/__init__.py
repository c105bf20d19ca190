"""Contexts: what agents and models said, as chains of hashes. A pure room: no await, no clock, no I/O."""
