"""Tools: what agents may be granted beyond system calls, a folder a kind."""
