"""Faults: what went wrong, where, the value, and what to do. One sentence each; the command line prints it.

Fault
  InputFault        a file or argument of the user cannot be used
  ScenarioFault     a scenario or parameter cannot be used
  LogFault          the log cannot be used
    DamageFault     recorded bytes are not what was written (names file and seq or byte range)
    LockFault       another writer holds the log
    DiskFault       the disk refused (full, failed fsync)
    SchemaFault     an unknown event type or a newer schema
"""


class Fault(Exception):  # noqa: N818 - the house word for an error is fault
    """The root; its text is the one sentence that the user reads."""


class InputFault(Fault):
    """A file or argument of the user cannot be used."""


class ScenarioFault(Fault):
    """A scenario or a parameter cannot be used."""


class LogFault(Fault):
    """The log cannot be used."""


class DamageFault(LogFault):
    """Recorded bytes are not what was written."""


class LockFault(LogFault):
    """Another writer holds the log."""


class DiskFault(LogFault):
    """The disk refused: full, or a failed sync."""


class SchemaFault(LogFault):
    """An unknown event type or a schema newer than this code."""
