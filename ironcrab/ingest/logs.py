"""Which call logged what: a walk of a transaction's log lines beside its calls in execution order.

The runtime writes `Program X invoke [n]` when a call begins and `Program X success` / `Program X failed: ...`
when it ends, n being the stack height. A program can only add lines that open with `Program log: `,
`Program data: ` or `Program return: `, so it cannot forge the frame. Precompiles write nothing at all.
"""

from binascii import Error, a2b_base64
from collections.abc import Iterable, Sequence

PRECOMPILES = (
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
    "Secp256r1SigVerify1111111111111111111111111",
)
"""Programs that run outside the virtual machine and leave no line."""

_DATA = "Program data: "
_RAY = "Program log: ray_log: "
_SAID = ("Program log: ", _DATA, "Program return: ")
"""How a line begins that a program wrote itself."""
_TRUNCATED = "Log truncated"


class Frame:
    """One call as the log tells it: program, stack height, and the payloads it logged itself."""

    __slots__ = ("depth", "payloads", "program")

    def __init__(self, program: str, depth: int) -> None:
        self.program = program
        self.depth = depth
        self.payloads: list[bytes] = []


def read(lines: Iterable[str]) -> list[Frame] | None:
    """Frames in order of their beginning; None where they do not nest.

    A call still open at `Log truncated` may have said more, so its payloads are dropped.
    """
    frames: list[Frame] = []
    stack: list[Frame] = []
    for line in lines:
        if line.startswith(_TRUNCATED):
            break
        if line.startswith(_SAID):
            if stack:
                stack[-1].payloads += _logged(line)
            continue
        words = line.split(" ", 4)
        if len(words) < 3 or words[0] != "Program":
            continue
        program, verb = words[1], words[2]
        if verb == "invoke" and len(words) == 4:
            if words[3] != f"[{len(stack) + 1}]":
                return None
            stack.append(Frame(program, len(stack) + 1))
            frames.append(stack[-1])
        elif verb == "success" or verb.startswith("failed"):
            if not stack or stack[-1].program != program:
                return None
            stack.pop()
    for frame in stack:
        frame.payloads = []
    return frames


def matched(frames: Sequence[Frame], programs: Sequence[str]) -> list[Frame | None] | None:
    """The frame of each call, given the programs of all calls in execution order; None where they disagree.

    A precompile has no frame; nor have calls behind the place where the log was truncated.
    """
    found: list[Frame | None] = []
    place = 0
    for program in programs:
        if place < len(frames) and frames[place].program == program:
            found.append(frames[place])
            place += 1
        elif program in PRECOMPILES or place == len(frames):
            found.append(None)
        else:
            return None
    return found if place == len(frames) else None


def _logged(line: str) -> list[bytes]:
    """Decoded payloads of one line: each field of `Program data:`, or the one of Raydium's `ray_log:`."""
    if line.startswith(_DATA):
        fields = line[len(_DATA) :].split(" ")
    elif line.startswith(_RAY):
        fields = [line[len(_RAY) :]]
    else:
        return []
    payloads = []
    for field in fields:
        try:
            payloads.append(a2b_base64(field, strict_mode=True))
        except (Error, ValueError):
            continue
    return payloads
