"""Arming a session: the typed address, the key, the limits and the money must agree before anything is begun."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ironcrab.domain.event import Event
from ironcrab.domain.fault import InputFault
from ironcrab.domain.market import WalletBalanceSnapshot
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT
from ironcrab.mode.outlets import Outlets
from ironcrab.mode.scenario import ARMED, Scenario
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import Endpoint
from ironcrab.shell.own_feed import OwnFeed
from ironcrab.shell.routes import JitoRoute, Route, RpcRoute
from ironcrab.shell.rpc import Rpc, RpcFault
from ironcrab.shell.samples import Told, read_accounts, read_fees, read_wallet
from ironcrab.shell.sender import Sender, SenderParams
from ironcrab.shell.simulator import Simulator
from ironcrab.shell.skew import MOST_SKEW_S, sentence_of, skew_of
from ironcrab.shell.transaction import Tables
from ironcrab.shell.wallet import Wallet, load_wallet

LIMITS = ("max_position_size_lamports", "daily_loss_limit_lamports", "max_open_positions")
"""Engine parameters that a scenario must give by itself before real money is at stake."""
SAMPLE_S = 10.0
"""Seconds between two readings of wallet and priority fees."""


class Arms(Struct, frozen=True):
    """What arming takes.

    Attributes:
        address: the wallet, typed in full.
        key_file: its key.
        rpc_url: the node that simulates, sends and confirms; it may hold a token and is never printed.
        jito_url: a block engine for plans that tip; None: none.
        params: of the sender.
        own: endpoint of a feed that tells of the wallet's transactions; None: nodes alone are asked what landed.
    """

    address: str
    key_file: Path
    rpc_url: str
    jito_url: str | None = None
    params: SenderParams = SenderParams()
    own: Endpoint | None = None


def armed(scenario: Scenario, address: str) -> Scenario:
    """The scenario as it is recorded when it is armed.

    Raises:
        InputFault: it names another wallet, does not send, takes plans without instructions, or leaves a limit to its
            default.
    """
    engine = scenario.engine
    if engine.wallet != address:
        raise InputFault(
            f"scenario {scenario.name} trades for the wallet {engine.wallet}, --armed names {address}; "
            f'set engine.wallet = "{address}" if that is meant'
        )
    if not engine.send_enabled:
        raise InputFault(f"scenario {scenario.name} does not send; set engine.send_enabled = true")
    if engine.plans != "required":
        raise InputFault(
            f'scenario {scenario.name} has engine.plans = "{engine.plans}", and terms without instructions cannot be '
            f'signed; set engine.plans = "required"'
        )
    given = {setting.key for setting in scenario.settings if setting.origin != "default"}
    silent = [key for key in LIMITS if f"engine.{key}" not in given]
    if silent:
        names = ", ".join(f"engine.{key}" for key in silent)
        raise InputFault(f"scenario {scenario.name} leaves limits to their defaults; for real money set {names}")
    return replace(scenario, outlets=(ARMED,))


def key_of(arms: Arms) -> Wallet:
    """The wallet of the key file, if it is the one that was typed. InputFault otherwise."""
    wallet = load_wallet(arms.key_file)
    if wallet.address != arms.address:
        raise InputFault(f"key file {arms.key_file} is of {wallet.address}, --armed names {arms.address}")
    return wallet


async def armed_outlets(scenario: Scenario, arms: Arms, wallet: Wallet, durable: Callable[[], int]) -> Outlets:
    """Simulator and sender of this wallet, after a look at the clock and at its money.

    Raises:
        InputFault: host and chain differ in time, it holds less than the limits assume, or the block engine has other
            tip accounts.
        RpcFault: the node gives no answer.
    """
    arrived = asyncio.Event()
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(Rpc(arms.rpc_url))
        skew_s = await skew_of(rpc)
        if abs(skew_s) > MOST_SKEW_S:
            raise InputFault(sentence_of(skew_s))
        money = await read_wallet(rpc, wallet.address)
        _refuse_poor(money, scenario, wallet.address)
        told: Told | None = {} if any(one.params.enabled for one in scenario.housekeepers) else None
        accounts = () if told is None else await read_accounts(rpc, wallet.address, told)
        routes: tuple[Route, ...] = (RpcRoute(rpc),)
        if arms.jito_url is not None:
            jito = JitoRoute(await stack.enter_async_context(Rpc(arms.jito_url)))
            _refuse_other_tips(await jito.tip_accounts(), scenario)
            routes = (*routes, jito)
        tables = Tables()
        simulator = Simulator(wallet.address, rpc, tables, arrived)
        sender = Sender(wallet, routes, (rpc,), tables, durable, arrived, params=arms.params)

        if arms.own is not None:
            listening = asyncio.create_task(OwnFeed(arms.own, wallet.address, sender.hear).run())
            stack.callback(listening.cancel)

        async def samples(take: Callable[[Event], object]) -> None:
            while True:
                await asyncio.sleep(SAMPLE_S)
                for event in await _sampled(rpc, wallet.address, told):
                    take(event)

        return Outlets(
            (tables, simulator, sender),
            clock=now_ns,
            wallet=(*accounts, *money),
            working=(simulator, sender),
            arrived=arrived,
            samples=samples,
            closing=stack.pop_all(),
        )


async def _sampled(rpc: Rpc, address: str, told: Told | None) -> tuple[Event, ...]:
    """Wallet and priority fees; nothing where the node is silent: what was told last goes on to hold.

    `told`: the token accounts as they were told last, for housekeepers; None: nobody needs them.
    """
    try:
        fees = await read_fees(rpc, [])
        accounts = () if told is None else await read_accounts(rpc, address, told)
        return (
            *accounts,
            *await read_wallet(rpc, address, periodic=True),
            *(() if fees is None else (fees,)),
        )
    except RpcFault:
        return ()


def _refuse_other_tips(told: tuple[str, ...], scenario: Scenario) -> None:
    strange = [account for account in scenario.engine.tip_accounts.split() if account not in told]
    if strange:
        raise InputFault(
            f"scenario {scenario.name} tips {strange[0]}, which the block engine does not name; "
            f'set engine.tip_accounts = "{" ".join(told)}"'
        )


def _refuse_poor(money: tuple[Event, ...], scenario: Scenario, address: str) -> None:
    held = sum(
        event.balance_raw
        for event in money
        if isinstance(event, WalletBalanceSnapshot) and event.mint in (NATIVE_SOL, SOL_MINT)
    )
    least = scenario.engine.max_position_size_lamports
    if held < least:
        raise InputFault(
            f"wallet {address} holds {held} lamports, engine.max_position_size_lamports assumes {least}; "
            f"fund it or lower the limit"
        )
