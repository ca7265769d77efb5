"""The Whirlpool day rebuilt once for all tests that ask for it (it takes some ten seconds)."""

import gzip
from functools import cache

from ironcrab.ingest.whirlpool_states import rebuild


@cache
def rebuilt_day(shared):
    """`rebuild` of the shared day and its end."""
    folder = shared / "data/whirlpool_2022"
    state = gzip.decompress((folder / "whirlpool-state-20220406.json.gz").read_bytes())
    with gzip.open(folder / "whirlpool-transaction-20220406.jsonl.gz") as lines:
        return rebuild(lines, state, "the shared state file")
