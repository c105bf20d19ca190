"""Stores: where a journal's rows, bodies and snapshots lie."""
