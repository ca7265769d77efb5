"""None outlives its parent."""

import subprocess
import sys

import pytest

from ironcrab.shell.children import bound


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a parent's death")
def test_one_whose_parent_died_before_the_kernel_was_asked_does_nothing(tmp_path):
    told = tmp_path / "told"
    command = bound([sys.executable, "-c", f"open({str(told)!r}, 'w')"])
    assert subprocess.run(command, check=False).returncode == 0
    assert told.exists()
    told.unlink()
    # as if whoever began it were gone, and another process its parent now
    command[3] = str(2**22 + 1)
    assert subprocess.run(command, check=False).returncode == 1
    assert not told.exists()
