"""Calls of models: which model one goes to, whose turn it is, what it may take, and which need not be made."""
