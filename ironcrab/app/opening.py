"""Opening a recording for a command: what is lost of it is said on stderr, and the command goes on with the rest."""

from pathlib import Path

import click

from ironcrab.domain.fault import DiskFault, InputFault
from ironcrab.log.recording import Recording


def open_recording(path: Path) -> Recording:
    """The recording at `path`; its losses are told on stderr. Faults as of Recording.open."""
    recording = Recording.open(path)
    for loss in recording.losses():
        click.echo(f"warning: {loss}", err=True)
    return recording


def mend_snapshots(recording: Recording, seq: int | None = None) -> None:
    """Make damaged snapshots anew (all, or those in the way to `seq`), and tell; go on without where that cannot be."""
    from ironcrab.mode.standing import mend  # noqa: PLC0415 - the engine loads only here

    try:
        for name in mend(recording, seq):
            click.echo(f"warning: {recording.path}: snapshot {name} was damaged and is made again", err=True)
    except (DiskFault, InputFault, OSError) as error:
        click.echo(f"warning: {recording.path}: a damaged snapshot stays: {error}", err=True)
