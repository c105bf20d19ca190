"""The machine's memory."""
