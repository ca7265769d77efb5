"""The block of mainnet as updates."""

import pytest

from ironcrab.shell.geyser_filters import update_of
from tests.shell.playing import SHARED


@pytest.fixture
def block_frames():
    """The updates of a mainnet block with the slot and meta frames round them."""
    from ironcrab.shell.files import capture

    path = SHARED / "data" / "geyser" / "block_332254908_nonvote.subscribe_updates.bin.zst"
    if not path.exists():
        pytest.skip("shared inputs are not beside the checkout")
    return [update for frame in capture(path, {}) if (update := update_of(frame))]
