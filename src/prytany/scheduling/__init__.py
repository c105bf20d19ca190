"""Who goes next. A pure room: no await, no clock, no I/O."""
