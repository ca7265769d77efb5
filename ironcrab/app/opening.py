"""Opening a recording for a command: what is lost of it is said on stderr, and the command goes on with the rest."""

from pathlib import Path

import click

from ironcrab.log.recording import Recording


def open_recording(path: Path) -> Recording:
    """The recording at `path`; its losses are told on stderr. Faults as of Recording.open."""
    recording = Recording.open(path)
    for loss in recording.losses():
        click.echo(f"warning: {loss}", err=True)
    return recording
