"""Decimal text to scaled integers and back, exact, without floats."""

import re

_DIGITS = re.compile(r"(-?)([0-9]{1,40})(?:\.([0-9]{1,40}))?")


def scaled(text: str | None, places: int) -> int | None:
    """The number in units of 10 to the minus `places`, cut toward zero: `scaled("3.25", 9)` is 3_250_000_000.

    None for None and for a text that is no plain decimal number.
    """
    match = _DIGITS.fullmatch(text) if text is not None else None
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    value = int(whole + ((fraction or "") + "0" * places)[:places])
    return -value if sign else value


def decimal_text(raw: int, places: int) -> str:
    """The shortest plain text of `raw` units of 10 to the minus `places`: `decimal_text(1_250_000, 9)` is 0.00125."""
    sign, digits = ("-", -raw) if raw < 0 else ("", raw)
    whole, fraction = divmod(digits, 10**places)
    tail = str(fraction).rjust(places, "0").rstrip("0") if places else ""
    return f"{sign}{whole}.{tail}" if tail else f"{sign}{whole}"
