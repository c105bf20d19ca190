"""The operator's files."""
