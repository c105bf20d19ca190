"""Messages between processes: a mailbox each, folded from events. A pure room: no await, no clock, no I/O."""
