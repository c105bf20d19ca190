"""Benchmarks: each module prints one JSON object as its last line, and compares with a baseline in the same run."""
