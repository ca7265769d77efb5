"""What a figure came to beside what is wanted. The word for a missed one is what `python -m tests.bench` looks for."""

MISSED = "MISSED"


def beside(wanted, *, held):
    """`(wanted <= 3: held)`, or `MISSED`."""
    return f"(wanted {wanted}: {'held' if held else MISSED})"
