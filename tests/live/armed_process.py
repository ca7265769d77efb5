"""An armed session that is made to be killed: wraps SOL for one wish, transfers a token for the next.

python -m tests.live.armed_process DATA FEED_URL RPC_URL KEY_FILE SECONDS
"""

import sys
from pathlib import Path

from ironcrab.mode.arming import Arms, armed, armed_outlets, key_of
from ironcrab.mode.live import LiveSettings, live
from ironcrab.mode.scenario import read
from ironcrab.shell.endpoint import endpoint
from tests.shell.stage import FAST, WALLET, build, plan


def instructions(told):
    """An even amount is wrapped, an odd one is transferred; neither touches the mint that the plan wants."""
    return build(plan("transfer" if told.amount_in % 2 else "wrap", told.amount_in))


def scenario():
    """The wisher, with limits."""
    engine = {
        "wallet": WALLET.address,
        "send_enabled": True,
        "max_position_size_lamports": 10_000_000,
        "daily_loss_limit_lamports": 10**12,
        "max_open_positions": 50,
        "max_concurrent_intents": 16,
        "simulation_timeout_ms": 3_000,
    }
    tree = {"strategies": ["tests.live.wisher:Wisher"], "engine": engine, "wisher": {"every_slots": 8}}
    return armed(read("wishes", tree, "a test"), WALLET.address)


def main(data, feed_url, rpc_url, key_file, seconds):
    arms = Arms(WALLET.address, Path(key_file), rpc_url, params=FAST, build=instructions)
    told, wallet = scenario(), key_of(arms)

    async def outlets(durable):
        return await armed_outlets(told, arms, wallet, durable)

    settings = LiveSettings(endpoint(feed_url), Path(data), seconds=float(seconds), hot=True, states_every=400)
    print(live(told, settings, outlets))


if __name__ == "__main__":
    main(*sys.argv[1:])
