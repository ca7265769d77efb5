"""A small market of our own for the housekeepers: the input of the golden `housekeepers`. World records only."""

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, TOKEN_2022, associated
from ironcrab.domain.control import ConfigUpdate, ControlRequest
from ironcrab.domain.market import (
    AccountWritten,
    ExplicitAmount,
    SlotUpdate,
    TokenMintInfo,
    Trade,
    WalletBalanceSnapshot,
)
from ironcrab.domain.trade import Execution, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.params import PAPER_WALLET
from ironcrab.mode.purse import account_data

SCENARIO = "scenarios/housekeepers.toml"
START_MS = 1_760_000_000_000
SLOT = 370_000_000
SOLD, KEPT, DUST, DUST_22 = (base58.encode(bytes([number]) * 32) for number in (51, 52, 53, 54))
EMPTY = tuple(
    (base58.encode(bytes([number]) * 32), program) for number, program in ((71, TOKEN), (72, TOKEN), (73, TOKEN_2022))
)
POOLS = {mint: base58.encode(bytes([number]) * 32) for mint, number in ((SOLD, 61), (KEPT, 62))}


def swap(side, raw, mint, name):
    """An intent as a strategy elsewhere said it."""
    paid = (SOL_MINT, mint) if side == "Buy" else (mint, SOL_MINT)
    return TradeIntent(
        source="momentum-bot", tier="Tier1", origin_type="StrategyA", intent_id=name,
        required_capital=ExplicitAmount(raw, 9 if side == "Buy" else 6),
        resources=TradeResources(*paid, (POOLS[mint],)), expected_roi_bps=50, max_slippage_bps=300, side=side,
        regime="Early", metadata={"dex": "pump_amm"}, execution=Execution(ExplicitAmount(1, 6)),
    )  # fmt: skip


def dust(mint, program, slot, raw=77):
    """Raw units of a mint that no pool trades."""
    data = account_data(mint, PAPER_WALLET, raw)
    if program == TOKEN_2022:
        data += b"\x02\x07\x00\x00\x00"
    address = associated(PAPER_WALLET, mint, program)
    yield TokenMintInfo(mint, program, 6, 10**12, None, None, slot=slot)
    yield WalletBalanceSnapshot(mint, raw, 6, program, slot=slot)
    yield AccountWritten(address, program, (128 + len(data)) * 5_080, data, slot)


def said(step, slot):
    """What the world says in a step beside its slot and its trades."""
    if step == 1:
        for mint in POOLS:
            yield TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=slot)
        yield from dust(DUST, TOKEN, slot)
        yield from dust(DUST_22, TOKEN_2022, slot)
        for mint, program in EMPTY:
            yield from dust(mint, program, slot, 0)
    elif step == 12:
        yield swap("Buy", 200_000_000, SOLD, "house-1")
        yield swap("Buy", 100_000_000, KEPT, "house-2")
    elif step == 24:
        yield swap("Sell", 197_010_000, SOLD, "house-3")
    elif step == 50:
        yield ConfigUpdate("wsol-manager", {"cooldown_ms": "3000", "max_wsol_lamports": "1", "enabled": "false"})
        yield ConfigUpdate("all", {"burn_min_age_ms": "7000", "max_slippage_bps": "9000"})
    elif step == 60:
        yield WalletBalanceSnapshot(SOL_MINT, 3_000_000_000, 9, TOKEN_PROGRAM, slot=slot)
        yield WalletBalanceSnapshot(NATIVE_SOL, 3_000_000_000, 9, TOKEN_PROGRAM, slot=slot)
    elif step == 80:
        yield ControlRequest(
            "house-kill", "execution-engine", "kill_switch", active=True, reason="drill", liquidate_positions=True
        )
    elif step == 95:
        yield ControlRequest("house-reset", "execution-engine", "reset_kill_switch")


def housekeeper_events():
    """(time in ns, event) of every world record of the golden, in order."""
    for step in range(140):
        slot, time = SLOT + step, (START_MS + 400 * step) * 1_000_000
        yield time, SlotUpdate(slot, slot)
        for mint, pool in POOLS.items():
            yield time, Trade(pool, mint, "CheckTrader", True, 10**9, 10**9, 6, "pump_amm", slot=slot)
        for event in said(step, slot):
            yield time, event
