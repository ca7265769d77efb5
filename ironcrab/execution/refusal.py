"""Why there is no plan, or no instructions for one."""

from msgspec import Struct


class Refusal(Struct, frozen=True, gc=False):
    """Why no plan can be built: a reason code of the wire contract or our own, and the numbers."""

    code: str
    details: str


class Untold(Struct, frozen=True, gc=False):
    """What the log has not told, so that a plan has its terms and no instructions."""

    what: str
