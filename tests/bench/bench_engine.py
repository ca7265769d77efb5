"""What a decision costs with all its checks: at most 200 microseconds are wanted where its bare encode takes 2.

python tests/bench/bench_engine.py

Each figure is the median over fresh stages or repeats, beside the bare msgspec encode of the decision in the same run,
and what the target is at that encode's speed. `terms`: plans without instructions; `built`: with them, from the
accounts of each venue; `first`: the first plan of a coin, whose addresses that no look at the pool asked for are
derived; `cold`: the first plan of a process that nothing came before, where all of them are.
"""

import sys
from pathlib import Path
from statistics import median
from time import perf_counter_ns

sys.path.insert(0, str(Path(__file__).parents[2]))

import msgspec

from ironcrab.dex import address, base58
from ironcrab.dex.pump_send import standing
from ironcrab.domain.ask import SimulateAnswer, SimulateAsk
from ironcrab.domain.control import ClockTick
from ironcrab.execution.state import Waiting
from tests.bench.figures import beside
from tests.execution.test_plans import SETS, ready, wish

TURNS = 200
TARGET, AT = 200, 2
"""Microseconds of a decision, where a bare encode takes so many."""


def one(stage, intent, turn):
    """Nanoseconds of one decision, and what came of it; the attempt is ended again."""
    engine = stage.engine
    seq = 1_000_000 + 11 * turn
    engine.state.waiting.append(Waiting(seq, 0, engine.now_ms, intent))
    began = perf_counter_ns()
    said = engine.step(seq + 1, ClockTick())
    spent = perf_counter_ns() - began
    for event in said:
        if isinstance(event, SimulateAsk):
            engine.step(seq + 2, event)
            (decision, *_) = engine.step(seq + 3, SimulateAnswer(seq + 2, False, "x"))
            return spent, decision
    return spent, said[-1]


def encode_ns(decision):
    """Nanoseconds of a bare encode, the best of nine batches."""
    encode, best = msgspec.json.Encoder().encode, []
    for _ in range(9):
        began = perf_counter_ns()
        for _ in range(100):
            encode(decision)
        best.append((perf_counter_ns() - began) / 100)
    return min(best)


def tell(name, spent, decision):
    bare = encode_ns(decision)
    took = median(spent)
    verdict = beside(f"<= {TARGET / AT:.0f}", held=took / bare <= TARGET * 1000 / (AT * 1000))
    rows, code = len(decision.checks), decision.checks[-1].reason_code
    print(
        f"{name:32s} {took / 1000:8.1f} us  encode {bare / 1000:5.2f} us  ratio {took / bare:6.1f} "
        f"{verdict}  rows={rows} last={code}"
    )


def repeated(venue, side, **params):
    stage = ready(venue, **params)
    intent = wish(venue, side)
    done = [one(stage, intent, turn) for turn in range(TURNS)]
    return [spent for spent, _ in done[20:]], done[-1][1]


def first(venue, side, *, looked):
    spent, decision = [], None
    for turn in range(15):
        stage, intent = ready(venue), wish(venue, side)
        address.find_program_address.cache_clear()
        address.associated.cache_clear()
        base58.decode.cache_clear()
        if looked:
            # the wallet is known since the run began, and whoever wishes a swap has quoted it
            standing(stage.engine.state.wallet)
            stage.known.quotes.quote(intent.resources.pools[0], intent.resources.input_mint, 1_000_000)
        took, decision = one(stage, intent, turn)
        spent.append(took)
    return spent, decision


def main():
    tell("refused before the plan", *repeated("raydium", "Buy", max_position_size_lamports=1))
    tell("refused at the capital lock", *repeated("raydium", "Buy", native=1))
    for venue in SETS:
        for side in ("Buy", "Sell"):
            tell(f"terms {venue} {side}", *repeated(venue, side, plans="terms"))
            tell(f"built {venue} {side}", *repeated(venue, side))
            tell(f"first {venue} {side}", *first(venue, side, looked=True))
            tell(f"cold {venue} {side}", *first(venue, side, looked=False))


if __name__ == "__main__":
    main()
