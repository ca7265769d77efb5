"""Every check holds in every golden; what a golden is exempt from, it breaks indeed."""

from pathlib import Path

import pytest

from ironcrab.check import CHECKS, check
from ironcrab.log.recording import Recording

ROOT = Path(__file__).parents[2]
GOLDENS = sorted([*(ROOT / "recordings").iterdir(), *(ROOT / "examples/ema_cross/goldens").iterdir()])


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda path: path.name)
def test_every_check_holds(golden):
    recording = Recording.open(golden)
    found = check(recording)
    assert {name: findings for name, findings in found.items() if findings} == {}
    exempt = tuple(recording.manifest.exempt)
    assert len(found) + len(exempt) == len(CHECKS)
    assert all(check(recording, exempt).values()) if exempt else True
