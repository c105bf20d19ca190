"""What crosses the boundary between programs, kernel and drivers: ids, errors, limits, calls, events, wire format.

This room imports nothing of Prytany. Everything in it is data or a plain type; nothing here does I/O.
"""
