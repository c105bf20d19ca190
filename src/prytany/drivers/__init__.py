"""Drivers: what really touches the world, each behind a port. A driver imports abi and ports, and no room of the
kernel.
"""
