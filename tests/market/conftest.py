"""The shared vectors for tests of the market."""

import gzip
import json
import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def vectors():
    """`vectors(name)`: the rows of one vector file."""
    folder = Path(os.environ.get("IRONCRAB_SHARED", Path(__file__).parents[2] / ".." / "shared")).resolve()
    if not folder.is_dir():
        pytest.skip("skipped: shared inputs are not beside the checkout")

    def rows(name):
        with gzip.open(folder / "vectors" / f"{name}.jsonl.gz", "rt") as lines:
            return [json.loads(line) for line in lines]

    return rows
