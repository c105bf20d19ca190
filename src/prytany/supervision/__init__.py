"""Who may be started as what: the specifications of children. Pure: no await, no clock, no I/O."""
