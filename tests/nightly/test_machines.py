"""The state machine would notice: each planted bug is found in a copy of the code; every patch still applies."""

import subprocess

import pytest

from tests.nightly.machines import PLANTED, ROOT, planted

NAMES = sorted(patch.stem for patch in PLANTED.glob("*.patch"))


@pytest.mark.parametrize("name", NAMES)
def test_the_patch_applies_to_the_code_as_it_stands(name):
    told = subprocess.run(
        ["patch", "-p1", "--dry-run", "--silent", "-i", PLANTED / f"{name}.patch"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.timeout(1_200)
def test_the_planted_bug_is_found(name):
    ((_, sentence),) = planted((name,))
    assert sentence, f"{name} was not found"
