"""Protocols of the outside world. The kernel knows these; drivers fill them."""
