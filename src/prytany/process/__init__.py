"""Processes: what there is, in which state, and who belongs to whom. A pure room: no await, no clock, no I/O."""
