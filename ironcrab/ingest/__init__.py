"""Pure: what a feed or a file of the chain says -> market events. No I/O, no clock; counts what it cannot use."""
