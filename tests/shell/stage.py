"""A stage for outlets: a served chain, a log of records with a durable watermark, and plans that wrap, unwrap, transfer."""

import asyncio
from contextlib import AsyncExitStack
from hashlib import sha256
from itertools import count
from struct import pack

import msgspec
from msgspec.structs import replace
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ironcrab.dex import base58
from ironcrab.dex.address import TOKEN, TOKEN_2022, WSOL, associated
from ironcrab.dex.face import Instruction, Meta
from ironcrab.dex.message import calls_of, compiled
from ironcrab.dex.wallet import compute_budget, create_account, transfer, unwrap, wrap
from ironcrab.domain.ask import Plan, SendAsk, SimulateAsk
from ironcrab.domain.units import NATIVE_SOL
from ironcrab.loop import Record
from ironcrab.shell.clock import now_ns
from ironcrab.shell.fates import parse_fates
from ironcrab.shell.local_chain import LocalChain
from ironcrab.shell.localnet import Localnet
from ironcrab.shell.routes import RpcRoute
from ironcrab.shell.rpc import Rpc
from ironcrab.shell.sender import Sender, SenderParams
from ironcrab.shell.simulator import Simulator, SimulatorParams
from ironcrab.shell.transaction import Tables
from ironcrab.shell.vm import Vm
from ironcrab.shell.wallet import wallet_of

SEED = sha256(b"test wallet").digest()
KEYPAIR = Keypair.from_seed(SEED)
WALLET = wallet_of(msgspec.json.encode(list(bytes(KEYPAIR))), "a test")
OTHER = str(Keypair.from_seed(sha256(b"other wallet").digest()).pubkey())
MINT = str(Keypair.from_seed(sha256(b"test mint").digest()).pubkey())
DECIMALS = 6
SOL = 10**9
NUMBERS = count()
"""What is taken off a compute limit, so that no two plans are one message."""
FAST = SenderParams(resend_ms=60, poll_ms=30, sign_within_ms=60_000)


def token_account(mint, owner, amount, program=TOKEN):
    """The bytes of a token account, initialised."""
    data = base58.decode(mint) + base58.decode(owner) + pack("<Q", amount) + bytes(36) + b"\x01" + bytes(56)
    if program == TOKEN_2022:
        data += b"\x02" + pack("<HH", 7, 0)
    return Account(2_100_000, data, Pubkey.from_string(program))


def mint_account(decimals=DECIMALS, supply=10**15):
    return Account(
        1_500_000, bytes(36) + pack("<Q", supply) + bytes((decimals, 1)) + bytes(36), Pubkey.from_string(TOKEN)
    )


def new_chain(script="", slot_ms=20, **kwargs):
    """A chain with a funded wallet that holds 1,000 tokens of MINT."""
    chain = LocalChain(Vm(), slot_ms=slot_ms, fates=parse_fates(script, "script"), **kwargs)
    system = Pubkey.default()
    chain.set_account(Pubkey.from_string(WALLET.address), Account(100 * SOL, b"", system))
    chain.set_account(Pubkey.from_string(OTHER), Account(1 * SOL, b"", system))
    chain.set_account(Pubkey.from_string(MINT), mint_account())
    held = associated(WALLET.address, MINT, TOKEN)
    chain.set_account(Pubkey.from_string(held), token_account(MINT, WALLET.address, 1000 * 10**DECIMALS))
    return chain


def plan(kind, amount, min_out=0, tip=0, price=1000, tipped=OTHER):
    """A plan that wraps, unwraps or transfers, as its `dex` says."""
    mints = {"wrap": (NATIVE_SOL, WSOL), "unwrap": (WSOL, NATIVE_SOL), "transfer": (MINT, WSOL)}[kind]
    told = Plan(
        side="Sell" if kind == "transfer" else "Buy",
        dex=kind,
        pool_address=OTHER,
        input_mint=mints[0],
        output_mint=mints[1],
        amount_in=amount,
        min_out=min_out,
        max_slippage_bps=100,
        compute_units=100_000 - next(NUMBERS) % 50_000,
        priority_fee_micro_lamports=price,
        tip_lamports=tip,
        plan_hash="",
    )
    return with_calls(told, build(told), tipped)


def with_calls(told, instructions, tipped=OTHER):
    """The plan with these instructions, between its limits and its tip."""
    tips = (transfer(WALLET.address, tipped, told.tip_lamports),) if told.tip_lamports else ()
    budget = compute_budget(told.compute_units, told.priority_fee_micro_lamports)
    calls = calls_of((*budget, *instructions, *tips))
    return replace(told, calls=calls, plan_hash=compiled(WALLET.address, calls).plan_hash)


def build(told):
    """The instructions of a plan of this stage."""
    me = WALLET.address
    if told.dex == "wrap":
        return (create_account(me, me, WSOL, TOKEN), *wrap(me, told.amount_in))
    if told.dex == "unwrap":
        return (unwrap(me, told.amount_in),)
    source, target = associated(me, MINT, TOKEN), associated(OTHER, MINT, TOKEN)
    metas = (
        Meta(source, signer=False, writable=True),
        Meta(MINT, signer=False, writable=False),
        Meta(target, signer=False, writable=True),
        Meta(me, signer=True, writable=False),
    )
    data = b"\x0c" + pack("<QB", told.amount_in, DECIMALS)
    return create_account(me, OTHER, MINT, TOKEN), Instruction(TOKEN, metas, data)


class Desk:
    """The log and its taker: takes the outlets' answers as records and shows them; durable a little later.

    `hold`: records from this seq on never become durable, as when the disk is slow.
    """

    def __init__(self, records=()):
        self.records = list(records)
        self.durable_seq = len(self.records) - 1
        self.outlets = []
        self.arrived = asyncio.Event()
        self.hold = None

    def take(self, event, time=None):
        record = Record(len(self.records), None, None, now_ns() if time is None else time, event)
        self.records.append(record)
        if self.hold is None or record.seq < self.hold:
            self.durable_seq = record.seq
        for outlet in self.outlets:
            outlet.see(record)
        return record

    def ask(self, told, kind=SendAsk, intent=0):
        return self.take(kind(intent, 0, told)).seq

    def drain(self):
        self.arrived.clear()
        for outlet in self.outlets:
            for answer in outlet.due(None):
                self.take(answer)

    async def until(self, done, seconds=10):
        """Take answers until `done()`, at most so long."""
        async with asyncio.timeout(seconds):
            while True:
                self.drain()
                if done():
                    return
                try:
                    async with asyncio.timeout(0.02):
                        await self.arrived.wait()
                except TimeoutError:
                    continue

    def said(self, ask, kind=None):
        events = [record.event for record in self.records]
        return [e for e in events if getattr(e, "ask", None) == ask and (kind is None or isinstance(e, kind))]

    async def last(self, ask, seconds=10):
        """The answer that is marked last."""
        await self.until(lambda: any(e.last for e in self.said(ask)), seconds)
        return self.said(ask)[-1]


class Stage:
    """`async with Stage(chain) as stage`: the chain served, a node, a desk, outlets on it."""

    def __init__(self, chain, records=(), params=FAST, tick=True, net=None):
        self.chain = chain
        self.desk = Desk(records)
        self.params = params
        self.tick = tick
        self.net = net
        self.stack = AsyncExitStack()

    async def __aenter__(self):
        if self.net is None:
            self.net = await self.stack.enter_async_context(Localnet(self.chain, tick=self.tick))
        self.rpc = await self.stack.enter_async_context(Rpc(self.net.url, timeout_s=2))
        desk, rpc = self.desk, self.rpc
        routes = (RpcRoute(rpc),)
        tables = Tables()
        self.sender = Sender(WALLET, routes, (rpc,), tables, lambda: desk.durable_seq, desk.arrived, params=self.params)
        self.simulator = Simulator(WALLET.address, rpc, tables, desk.arrived, params=SimulatorParams(timeout_ms=1000))
        self.desk.outlets = [tables, self.sender, self.simulator]
        for record in self.desk.records:
            for outlet in self.desk.outlets:
                outlet.see(record)
        self.sender.start()
        self.simulator.start()
        return self

    async def __aexit__(self, *_):
        await self.sender.stop()
        await self.simulator.stop()
        await self.stack.aclose()

    async def send(self, told, seconds=10):
        return await self.desk.last(self.desk.ask(told), seconds)

    async def simulate(self, told):
        return await self.desk.last(self.desk.ask(told, SimulateAsk))

    def settled(self, asks):
        return all(any(event.last for event in self.desk.said(ask)) for ask in asks)

    def tokens(self, owner, mint):
        holding = self.chain.vm.holding(self.chain.vm.account(Pubkey.from_string(associated(owner, mint, TOKEN))))
        return None if holding is None else holding.amount
