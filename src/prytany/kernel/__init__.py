"""The one async shell: trap, gate, handlers by family, effects, recovery.

Handlers decide and answer with events; the ledger appends and applies them; what they mean for the outside happens
when they are durable, in `reactions`.
"""
