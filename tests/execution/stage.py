"""A small stage for the engine: loop, market, engine, paper outlet; world events go in, records come out."""

from typing import Any

from ironcrab.domain.market import ExplicitAmount, TokenMintInfo, Trade, WalletBalanceSnapshot
from ironcrab.domain.trade import DecisionRecord, Execution, ExecutionResult, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM
from ironcrab.execution.engine import ExecutionEngine
from ironcrab.execution.params import EngineParams
from ironcrab.loop import Loop, Now, Record
from ironcrab.market.known import Known
from ironcrab.mode.paper import Paper, PaperParams

PAPER = PaperParams()
T0 = 1_735_000_000_000
"""Milliseconds at which every stage opens."""
MINT = "Mint1111111111111111111111111111111111111111"
POOL = "Pool1111111111111111111111111111111111111111"


class Stage:
    """Drives world events; the paper outlet (if any) answers asks in between, as the shell does."""

    def __init__(self, paper: PaperParams | None = PAPER, native: int = 1_000_000_000, **params: Any) -> None:
        self.records: list[Record] = []
        self.outlet = None if paper is None else Paper(paper)
        self.now = Now()
        self.known = Known.fresh(self.now)
        self.engine = ExecutionEngine(EngineParams(**params), self.known)
        self.loop = Loop((*self.known.reducers, self.engine), self._append, self.now)
        self.time_ms = T0
        self.take(WalletBalanceSnapshot(NATIVE_SOL, native, 9, TOKEN_PROGRAM))

    def _append(self, record: Record) -> None:
        self.records.append(record)
        if self.outlet is not None:
            self.outlet.see(record)

    def take(self, event: Any, ms: int = 0) -> Record:
        """One world event, `ms` later; answers due before it are taken first."""
        self.time_ms += ms
        if self.outlet is not None:
            for answer in self.outlet.due(getattr(event, "slot", None)):
                self.loop.take(answer, self.now.time)
        return self.loop.take(event, self.time_ms * 1_000_000)

    def of(self, kind: type) -> list[Any]:
        """All events of a type so far."""
        return [record.event for record in self.records if type(record.event) is kind]

    @property
    def decisions(self) -> list[DecisionRecord]:
        return self.of(DecisionRecord)

    @property
    def results(self) -> list[ExecutionResult]:
        return self.of(ExecutionResult)


def trade(
    slot: int,
    sol: int = 1_000_000_000,
    token: int = 1_000_000_000,
    pool: str = POOL,
    mint: str = MINT,
    dex: str = "pump_amm",
) -> Trade:
    return Trade(pool, mint, "Trader", True, sol, token, 6, dex, slot=slot)


def mint_info(mint: str = MINT, slot: int = 1) -> TokenMintInfo:
    return TokenMintInfo(mint, TOKEN_PROGRAM, 6, 10**15, None, None, slot=slot)


def buy(raw: int = 10_000_000, min_out: int = 1, **fields: Any) -> TradeIntent:
    told = {
        "source": "momentum-bot", "tier": "Tier1", "origin_type": "StrategyA",
        "required_capital": ExplicitAmount(raw, 9),
        "resources": TradeResources(SOL_MINT, fields.pop("mint", MINT), (fields.pop("pool", POOL),)),
        "expected_roi_bps": 50, "max_slippage_bps": 300, "side": "Buy", "regime": "Early",
        "metadata": {"dex": "pump_amm"}, "execution": Execution(ExplicitAmount(min_out, 6)),
        "intent_id": None,
    }  # fmt: skip
    return TradeIntent(**{**told, **fields})


def sell(raw: int, min_out: int = 1, **fields: Any) -> TradeIntent:
    mint = fields.pop("mint", MINT)
    told = {
        "side": "Sell", "required_capital": ExplicitAmount(raw, 6), "execution": Execution(ExplicitAmount(min_out, 9)),
        "resources": TradeResources(mint, SOL_MINT, (fields.pop("pool", POOL),)),
    }  # fmt: skip
    return buy(**{**told, **fields})
