"""AccountJanitor: closes the wallet's empty token accounts, so that their rent comes back, and burns worthless dust.

It knows the accounts by their recorded writes, of both token programs: what a close returns is the lamports that the
account was told to hold, no constant. An account is closed when it has been empty for `min_age_ms`, is ours to close,
not frozen, and no wrapped SOL; one that was never told is left alone. Dust is burnt and its account closed when it has
not moved for `burn_min_age_ms` and no known pool would pay more than `burn_max_value_lamports` for it; an operator may
ask for it at once (`burn_token_accounts`), and still nothing is burnt that has a route.

One action at a time, every one simulated first. See `housekeeping` for an action's road.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from ironcrab.dex import Account, Refusal, base58
from ironcrab.dex.address import TOKEN_PROGRAMS, is_key
from ironcrab.dex.mint import decode_token
from ironcrab.domain.control import (
    ClockTick,
    ConfigChanged,
    ConfigUpdate,
    ControlRequest,
    ControlResponse,
    ForkOrphaned,
    GapOpened,
    RunStarted,
)
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten, ExplicitAmount, WalletSnapshotComplete
from ironcrab.domain.settings import judged
from ironcrab.domain.trade import DecisionRecord, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, U64, Key, Lamports, Seq, Slot
from ironcrab.execution.housekeeping import action, routes
from ironcrab.execution.params import config_snapshot_id
from ironcrab.market.bound import forget_oldest
from ironcrab.market.known import Known

MOST_ACCOUNTS = 4_096
"""Own token accounts remembered at most."""
BURN = "burn_token_accounts"
"""Kind of the control request that burns."""


def _time(what: str, least: int = 0) -> Meta:
    return Meta(ge=least, le=31_536_000_000, description=what, extra={"unit": "ms"})


class JanitorParams(Struct, frozen=True, kw_only=True):
    """What is tidied, how often, and from which age on."""

    enabled: Annotated[bool, Meta(description="tidy token accounts", extra={"unit": "flag", "restart": True})] = False
    dry_run: Annotated[bool, Meta(description="simulate actions only", extra={"unit": "flag"})] = True
    interval_ms: Annotated[int, _time("between two rounds", 1_000)] = 3_600_000
    min_age_ms: Annotated[int, _time("an account is closed when empty for so long")] = 86_400_000
    max_per_round: Annotated[
        int, Meta(ge=1, le=100, description="actions of one round", extra={"unit": "accounts"})
    ] = 10
    burn_enabled: Annotated[bool, Meta(description="burn dust", extra={"unit": "flag"})] = False
    burn_min_age_ms: Annotated[int, _time("dust is burnt when it has not moved for so long")] = 604_800_000
    burn_max_value_lamports: Annotated[
        int, Meta(ge=0, le=10**18, description="what a pool would pay more for is kept", extra={"unit": "lamports"})
    ] = 0


class Held(Struct):
    """An own token account as its newest write told it.

    Attributes:
        mint: of its tokens.
        program: token program that owns it.
        amount: raw units.
        lamports: what a close returns.
        withheld: it keeps transfer fees, which must be harvested first.
        closable: ours to close, not frozen, no wrapped SOL.
        slot: slot of the write.
        version: order of the write in the slot.
        seq: record of the write.
        since_ms: since when it holds this amount, as far as is known.
    """

    mint: Key
    program: Key
    amount: U64
    lamports: Lamports
    withheld: bool
    closable: bool
    slot: Slot
    version: U64
    seq: Seq
    since_ms: int


class JanitorState(Struct):
    """Everything the janitor remembers.

    Attributes:
        params: the settings in force.
        wallet: the own wallet; empty: unknown.
        rows: own token accounts by address.
        todo: addresses of this round, and why.
        said: the address of the action whose decision has not come; None: none is under way.
        intent: seq of its intent, once it is known.
        next_ms: when the next round begins.
    """

    params: JanitorParams
    wallet: str = ""
    rows: dict[str, Held] = field(default_factory=dict)
    todo: dict[str, Literal["round", "request"]] = field(default_factory=dict)
    said: str | None = None
    intent: int | None = None
    next_ms: int = 0


class AccountJanitor:
    """See the module. Args: the scenario's settings, what is known, the own wallet (empty: told by a snapshot)."""

    Params = JanitorParams
    name = "account-janitor"
    wants: tuple[type[Event], ...] = (
        AccountWritten,
        WalletSnapshotComplete,
        TradeIntent,
        DecisionRecord,
        ClockTick,
        ControlRequest,
        ConfigUpdate,
        ForkOrphaned,
        GapOpened,
        RunStarted,
    )
    reads = ("mints", "pools")

    def __init__(self, params: JanitorParams, known: Known, wallet: str) -> None:
        self.params = params
        self.known = known
        self.state = JanitorState(params, wallet)
        self.restored()

    def restored(self) -> None:
        """Rebuild what derives from the state; call it after the state was put back."""
        wallet = self.state.wallet
        self.owner = base58.decode(wallet) if is_key(wallet) else None

    @property
    def now_ms(self) -> int:
        """Time now in milliseconds."""
        return self.known.now.time // 1_000_000

    def step(self, seq: int, event: Any) -> Iterable[Event]:
        """Fold one event; what may follow is one intent, or the answer to an operator."""
        kind, state = type(event), self.state
        if kind is AccountWritten:
            if event.owner in TOKEN_PROGRAMS or event.pubkey in state.rows:
                self._written(seq, event)
            return ()
        if kind is TradeIntent:
            if state.said is not None and state.intent is None and event.source == self.name:
                state.intent = seq
            return ()
        if kind is DecisionRecord:
            if state.intent is not None and event.intent == state.intent:
                self._decided(event)
            return ()
        if kind is ConfigUpdate:
            return self._config_update(event)
        said = self._control(event) if kind is ControlRequest else []
        self._noted(kind, event)
        intent = self._wish()
        return said if intent is None else [*said, intent]

    def _noted(self, kind: type[Event], event: Any) -> None:
        state = self.state
        if kind is RunStarted:
            state.params = self.params
            # a wish that an interrupted run did not write was never said
            state.said = state.said if state.intent is not None else None
        elif kind is WalletSnapshotComplete:
            state.wallet = event.wallet
            self.restored()
        elif kind is ForkOrphaned:
            for address in [address for address, row in state.rows.items() if row.slot == event.orphaned_slot]:
                del state.rows[address]
        elif kind is GapOpened:
            # what happened meanwhile was not told: every account's age counts anew
            for row in state.rows.values():
                row.since_ms = self.now_ms

    # what is known

    def _written(self, seq: int, event: AccountWritten) -> None:
        slot = self.known.now.slot if event.slot is None else event.slot
        known = self.state.rows.get(event.pubkey)
        if known is not None and (slot, event.write_version) < (known.slot, known.version):
            return
        if self.owner is None or event.owner not in TOKEN_PROGRAMS or event.data[32:64] != self.owner:
            self.state.rows.pop(event.pubkey, None)
            return
        token = decode_token(Account(event.owner, event.lamports, event.data))
        if isinstance(token, Refusal):
            self.state.rows.pop(event.pubkey, None)
            return
        ours = token.close_authority in (None, self.state.wallet)
        same = known is not None and known.amount == token.amount
        self.state.rows[event.pubkey] = Held(
            mint=token.mint,
            program=event.owner,
            amount=token.amount,
            lamports=event.lamports,
            withheld=token.withheld > 0,
            closable=ours and not token.frozen and token.reserve is None,
            slot=slot,
            version=event.write_version,
            seq=seq,
            since_ms=known.since_ms if same and known is not None else self.now_ms,
        )
        forget_oldest(self.state.rows, MOST_ACCOUNTS)

    def _decided(self, decision: DecisionRecord) -> None:
        """The action ended. What was closed is gone, of the rest the age counts anew."""
        state = self.state
        row = None if state.said is None else state.rows.get(state.said)
        if row is not None and state.said is not None:
            if decision.outcome == "Confirmed":
                del state.rows[state.said]
            else:
                row.since_ms = self.now_ms
        state.said = state.intent = None

    # operators

    def _config_update(self, event: ConfigUpdate) -> tuple[Event, ...]:
        if event.target_component not in (self.name, "all"):
            return ()
        params, applied, rejected = judged(self.state.params, event.config, "operator")
        self.state.params = params
        return (ConfigChanged(self.name, applied, rejected, config_snapshot_id(params)),)

    def _control(self, event: ControlRequest) -> list[Event]:
        if event.kind != BURN or event.target not in ("execution-engine", "all"):
            return []
        state = self.state
        answer = ControlResponse(event.request_id, self.name, "ok")
        unknown = [address for address in event.token_accounts if address not in state.rows]
        if event.owner_pubkey != state.wallet:
            return [_with(answer, "error", f"owner {event.owner_pubkey} is not the wallet {state.wallet}")]
        if event.close_accounts is False:
            return [_with(answer, "error", "what is burnt is closed too")]
        if state.said is not None or state.todo:
            return [_with(answer, "busy", "a round is under way")]
        if unknown or not event.token_accounts:
            return [_with(answer, "not_found", f"accounts not told: {', '.join(unknown) or 'none named'}")]
        for address in event.token_accounts:
            state.todo[address] = "request"
        return [answer]

    # wishes

    def _wish(self) -> TradeIntent | None:
        """The next action of the round, if none is under way."""
        state, params = self.state, self.state.params
        if state.said is not None or not state.wallet:
            return None
        if not state.todo and self.now_ms >= state.next_ms:
            state.next_ms = self.now_ms + params.interval_ms
            old = [address for address, row in state.rows.items() if self._is_old(row)]
            state.todo = dict.fromkeys(old[: params.max_per_round], "round")
        while state.todo:
            address = next(iter(state.todo))
            why = state.todo.pop(address)
            row = state.rows.get(address)
            if row is not None and row.closable and (why == "request" or self._is_old(row)):
                intent = self._intent(address, row, why)
                if intent is not None:
                    state.said = address
                    return intent
        return None

    def _is_old(self, row: Held) -> bool:
        """Whether a round takes it: empty for long, or dust that nobody pays for."""
        params, age = self.state.params, self.now_ms - row.since_ms
        if not row.closable:
            return False
        if not row.amount:
            return age >= params.min_age_ms
        if not params.burn_enabled or age < params.burn_min_age_ms:
            return False
        best = routes(row.mint, row.amount, self.known)
        return not best or best[0].amount_out <= params.burn_max_value_lamports

    def _intent(self, address: str, row: Held, why: str) -> TradeIntent | None:
        """The wish to close or burn; None: the mint's decimals are not known, without which nothing is burnt."""
        params, mint = self.state.params, self.known.mints.get(row.mint)
        purpose = "burn" if row.amount else "close"
        if purpose == "burn" and mint is None:
            return None
        metadata = {
            "reason": why,
            "lamports": str(row.lamports),
            "account_seq": str(row.seq),
            "dry_run": "true" if params.dry_run else "false",
        }
        if row.withheld:
            metadata["withheld"] = "true"
        if purpose == "burn":
            metadata["max_value_lamports"] = str(params.burn_max_value_lamports)
        resources = TradeResources(row.mint, NATIVE_SOL, accounts=(address,), token_program=row.program)
        given = ExplicitAmount(row.amount, 0 if mint is None else mint.decimals)
        return action(self.name, purpose, given, resources, metadata)


def _with(answer: ControlResponse, status: str, message: str) -> ControlResponse:
    return ControlResponse(answer.request_id, answer.target, status, message=message)
