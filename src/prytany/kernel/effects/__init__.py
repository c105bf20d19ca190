"""Effects: what is done outside once its intent is durable, a file a family. What comes back is the next input."""

from prytany.kernel.effects.running import Effects, Outside

__all__ = ["Effects", "Outside"]
