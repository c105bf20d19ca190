"""Models: one file a kind of endpoint (`scripted`, `openai`, `local`), each a `prytany.ports.model.Model`.

A driver keeps no conversation, never retries, and turns every error of the outside into a `ModelFailure` with a kind.
"""
