"""Who may do what. A pure room: no await, no clock, no I/O."""
