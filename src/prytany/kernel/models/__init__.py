"""Calls of models: what is asked, what it may take, which model it goes to, and whose turn it is there."""
