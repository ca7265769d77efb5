"""An armed session that is made to be killed: wraps SOL for one wish, transfers a token for the next.

python -m tests.live.armed_process DATA FEED_URL RPC_URL KEY_FILE SECONDS [TYPE MOMENT NUMBER]

With the last three it kills itself at the NUMBER-th record of that type: before it is appended, after, or once it is
durable.
"""

import os
import signal
import sys
from pathlib import Path

from msgspec.structs import replace

from ironcrab.execution import checks
from ironcrab.execution.building import VARIATIONS
from ironcrab.mode.arming import Arms, armed, armed_outlets, key_of
from ironcrab.mode.live import LiveSettings, live
from ironcrab.mode.scenario import read
from ironcrab.mode.taking import Live
from ironcrab.shell.endpoint import endpoint
from tests.shell.stage import FAST, WALLET, build, with_calls


def built(case, terms):
    """An even amount is wrapped, an odd one is transferred; neither touches the mint that the plan wants.

    It takes the place of what builds a plan: the local chain runs no venue's program.
    """
    units = terms.compute_units - case.waiting.intent % VARIATIONS
    kind = replace(terms, dex="transfer" if terms.amount_in % 2 else "wrap")
    made = with_calls(replace(terms, compute_units=units), build(kind))
    return replace(made, quote_age_slots=0, quote_age_ms=0)


def patch():
    """Let every engine of this process build so."""
    checks._built = built


def scenario():
    """The wisher, with limits."""
    engine = {
        "wallet": WALLET.address,
        "send_enabled": True,
        "plans": "required",
        "max_position_size_lamports": 10_000_000,
        "daily_loss_limit_lamports": 10**12,
        "max_open_positions": 50,
        "max_concurrent_intents": 16,
        "simulation_timeout_ms": 3_000,
    }
    tree = {"strategies": ["tests.live.wisher:Wisher"], "engine": engine, "wisher": {"every_slots": 8}}
    return armed(read("wishes", tree, "a test"), WALLET.address)


def die_at(name, moment, number):
    """Put the end where it is wanted."""
    left = int(number)
    append = Live._append

    def deadly(live, record):
        nonlocal left
        left -= type(record.event).__name__ == name and record.seq >= live.first_seq
        is_it = left == 0
        if is_it and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        append(live, record)
        if is_it and moment == "durable":
            live.session.commit()
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)

    Live._append = deadly


def say_when_begun():
    """A line once the run stands in the log: who kills counts from there, however long a process takes to start."""
    open_ = Live.open

    def opened(live, time):
        slot = open_(live, time)
        print("begun", flush=True)
        return slot

    Live.open = opened


def main(data, feed_url, rpc_url, key_file, seconds, *death):
    say_when_begun()
    if death:
        die_at(*death)
    patch()
    arms = Arms(WALLET.address, Path(key_file), rpc_url, params=FAST, own=endpoint(feed_url))
    told, wallet = scenario(), key_of(arms)

    async def outlets(durable):
        return await armed_outlets(told, arms, wallet, durable)

    settings = LiveSettings(endpoint(feed_url), Path(data), seconds=float(seconds), hot=True, states_every=400)
    print(live(told, settings, outlets))


if __name__ == "__main__":
    main(*sys.argv[1:])
