"""pytest plugin: collects recordings marked golden, so that `pytest recordings/` is a regression suite.

Nothing of ironcrab is imported until a folder with a manifest is met.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Diverged(AssertionError):  # noqa: N818 - it reads as what happened
    """A golden's decisions differ, or its bytes are damaged."""


class Golden(pytest.Item):
    """One golden recording: every byte checked, folded again, every decision compared."""

    def runtest(self) -> None:
        """Verify; the failure names seq, field, both values and the command to look closer."""
        from ironcrab.domain.fault import Fault  # noqa: PLC0415 - only where there is a golden
        from ironcrab.log.recording import Recording  # noqa: PLC0415 - as above
        from ironcrab.mode.verify import follow  # noqa: PLC0415 - as above

        try:
            recording = Recording.open(self.path.parent)
            audit = recording.verify_bytes()
            if audit.faults or audit.snapshots:
                raise Diverged("\n".join(str(fault) for fault in (*audit.faults, *audit.snapshots)))
            report = follow(recording)
        except Fault as fault:
            raise Diverged(str(fault)) from fault
        lines = []
        for found in (one for run in report.runs for one in run.divergences):
            lines.append(f"seq {found.seq}: {found.type} by {found.by} ({found.subject}) {found.kind}")
            lines += [
                f"  {field.field}: recorded {field.recorded!r}, recomputed {field.recomputed!r}"
                for field in found.fields[:8]
            ]
        if lines:
            closer = f"look closer: ironcrab verify {self.path.parent}"
            raise Diverged("\n".join([*lines[:40], closer]))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any, **kwargs: Any) -> Any:
        """The sentences, without a traceback."""
        if isinstance(excinfo.value, Diverged):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *args, **kwargs)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where and what."""
        return self.path, None, f"golden {self.path.parent.name}"


class Manifest(pytest.File):
    """The manifest of a recording; yields one item where it is golden."""

    def collect(self) -> Iterator[pytest.Item]:
        """The golden, if it is one; one that cannot be opened is taken for one, and fails."""
        from ironcrab.domain.fault import Fault  # noqa: PLC0415 - only where there is a manifest
        from ironcrab.log.recording import Recording  # noqa: PLC0415 - as above

        try:
            golden = Recording.open(self.path.parent).manifest.golden
        except Fault:
            golden = True
        if golden:
            yield Golden.from_parent(self, name=self.path.parent.name)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect `manifest.json` beside a `segments` folder."""
    if file_path.name == "manifest.json" and (file_path.parent / "segments").is_dir():
        return Manifest.from_parent(parent, path=file_path)
    return None
