"""Generate: write a synthetic market, of any size and from a seed, as a recording that lies sealed at once."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.domain.fault import ScenarioFault
from ironcrab.log.composing import compose
from ironcrab.loop import Record
from ironcrab.mode.scenario import read_tree, table_of
from ironcrab.mode.synthetic import VENUES, MarketParams, events

TOLD = 4_096
"""Records between two words of progress."""


class GenerateSummary(Struct, frozen=True):
    """What was generated: records, the head of their chain, the pools' seed, counts by type."""

    log_id: str
    records: int
    head: str
    seed: int
    counts: dict[str, int]


def market_of(path: Path, count: int | None = None, seed: int | None = None) -> MarketParams:
    """The `[market]` table of a scenario file, with `--events` and `--seed` over it.

    Raises:
        ScenarioFault: no such file or table, an unknown key, a value out of range, an unknown venue.
    """
    tree = read_tree(path)
    if "market" not in tree:
        raise ScenarioFault(f"scenario {path} has no [market] table; see scenarios/crash-day.toml for one")
    told = dict(tree["market"]) if isinstance(tree["market"], dict) else tree["market"]
    for key, value in (("events", count), ("seed", seed)):
        if value is not None and isinstance(told, dict):
            told[key] = value
    params: MarketParams = table_of(MarketParams, told, "market", str(path))
    strange = [venue for venue in params.venues if venue not in VENUES or venue == "pumpfun"]
    if strange or not params.venues:
        known = ", ".join(venue for venue in VENUES if venue != "pumpfun")
        raise ScenarioFault(f"{path}: [market] venues {list(params.venues)} must be some of {known}")
    return params


def generate(
    params: MarketParams, out: Path, *, prove: bool = False, progress: Callable[[int], None] | None = None
) -> GenerateSummary:
    """Write the market to the new folder `out`; memory stays flat whatever the size.

    Raises:
        LogFault: `out` exists, or what was written does not read back the same.
        DiskFault: the disk refused.
    """
    counts: dict[type[Struct], int] = {}

    def records() -> Iterator[Record]:
        for seq, (time, event) in enumerate(islice(events(params), params.events)):
            kind = type(event)
            counts[kind] = counts.get(kind, 0) + 1
            if progress is not None and not seq % TOLD:
                progress(seq)
            yield Record(seq, None, None, time, event)

    log_id = blake3(b"ironcrab generate\0" + msgspec.json.encode(params)).hexdigest(length=16)
    listed = compose(out, log_id, records(), origin=f"generated from seed {params.seed}", prove=prove)
    return GenerateSummary(
        log_id, listed.next_seq, listed.head.hex(), params.seed, {kind.__name__: n for kind, n in counts.items()}
    )
