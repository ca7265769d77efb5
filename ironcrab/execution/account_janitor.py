"""AccountJanitor: closes the wallet's empty token accounts, so that their rent comes back, and burns worthless dust.

It knows the accounts by their recorded writes, of both token programs: what a close returns is the lamports that the
account was told to hold, no constant. An account is closed when it has been empty for `min_age_ms`, is ours to close,
not frozen, and no wrapped SOL; one that was never told is left alone. Dust is burnt and its account closed when it has
not moved for `burn_min_age_ms` and no known pool would pay more than `burn_max_value_lamports` for it, or might; an
operator may ask for it at once (`burn_token_accounts`), and still nothing is burnt that has a route.

The empty accounts of a round are closed in one transaction, as many as fit; if that is refused, the next round closes
each alone, so that one of them does not hold up the others. What is burnt is burnt alone.

One action at a time, every one simulated first. See `housekeeping` for an action's road.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from ironcrab.dex import Account, Refusal, base58
from ironcrab.dex.address import TOKEN_PROGRAMS, is_key
from ironcrab.dex.mint import decode_token
from ironcrab.domain.control import (
    ClockTick,
    ConfigUpdate,
    ControlRequest,
    ControlResponse,
    ForkOrphaned,
    GapOpened,
    RunStarted,
)
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten, ExplicitAmount, SlotUpdate, WalletSnapshotComplete
from ironcrab.domain.settings import Change, in_force
from ironcrab.domain.trade import DecisionRecord, TradeIntent, TradeResources
from ironcrab.domain.units import NATIVE_SOL, U64, Key, Lamports, Seq, Slot
from ironcrab.execution.housekeeping import MOST_CLOSED, action, worth
from ironcrab.execution.keeping import PASSING_TIME, UnderWay, settings_now
from ironcrab.market.bound import forget_oldest
from ironcrab.market.known import Known

MOST_ACCOUNTS = 4_096
"""Own token accounts remembered at most."""
BURN = "burn_token_accounts"
"""Kind of the control request that burns."""
DRY_RUN = "dry_run"
"""Code of what passed its simulation and is not sent, as it was wished."""


def _time(what: str, least: int = 0) -> Meta:
    return Meta(ge=least, le=31_536_000_000, description=what, extra={"unit": "ms"})


class JanitorParams(Struct, frozen=True, kw_only=True):
    """What is tidied, how often, and from which age on."""

    enabled: Annotated[bool, Meta(description="tidy token accounts", extra={"unit": "flag", "restart": True})] = False
    dry_run: Annotated[bool, Meta(description="simulate actions only", extra={"unit": "flag"})] = True
    interval_ms: Annotated[int, _time("between two rounds", 1_000)] = 3_600_000
    min_age_ms: Annotated[int, _time("an account is closed when empty for so long")] = 86_400_000
    max_per_round: Annotated[
        int, Meta(ge=1, le=100, description="accounts of one round", extra={"unit": "accounts"})
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
        alone: it is not closed together with others again: that was refused.
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
    alone: bool = False


class JanitorState(Struct):
    """Everything the janitor remembers.

    Attributes:
        wallet: the own wallet; empty: unknown.
        rows: own token accounts by address.
        todo: addresses of this round, and why.
        action: the one under way.
        taken: the addresses that it closes.
        next_ms: when the next round begins.
        changes: settings that an operator changed.
    """

    wallet: str = ""
    rows: dict[str, Held] = field(default_factory=dict)
    todo: dict[str, Literal["round", "request"]] = field(default_factory=dict)
    action: UnderWay = field(default_factory=UnderWay)
    taken: tuple[Key, ...] = ()
    next_ms: int = 0
    changes: dict[str, Change] = field(default_factory=dict)


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
        SlotUpdate,
        ControlRequest,
        ConfigUpdate,
        ForkOrphaned,
        GapOpened,
        RunStarted,
    )
    reads = ("mints", "pools")
    fields: Mapping[type[Event], tuple[str, ...]] = PASSING_TIME

    def __init__(self, params: JanitorParams, known: Known, wallet: str) -> None:
        self.scenario = params
        self.known = known
        self.state = JanitorState(wallet)
        self.restored()

    def restored(self) -> None:
        """Rebuild what derives from the state; call it after the state was put back."""
        wallet = self.state.wallet
        self.owner = base58.decode(wallet) if is_key(wallet) else None
        self.params = in_force(self.scenario, self.state.changes)

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
        if kind is TradeIntent or kind is DecisionRecord:
            if state.action.follow(self.name, seq, event):
                self._decided(event)
            return ()
        said: tuple[Event, ...] = ()
        if kind is ConfigUpdate or kind is RunStarted:
            self.params, said = settings_now(self.name, "account_janitor", self.scenario, state.changes, event)
        if kind is ConfigUpdate:
            return said
        if kind is ControlRequest:
            said = self._control(event)
        self._noted(kind, event)
        intent = self._wish()
        return said if intent is None else (*said, intent)

    def _noted(self, kind: type[Event], event: Any) -> None:
        state = self.state
        if kind is RunStarted:
            state.action.reopen()
            state.taken = state.taken if state.action.said else ()
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
            alone=same and known is not None and known.alone,
        )
        forget_oldest(self.state.rows, MOST_ACCOUNTS)

    def _decided(self, decision: DecisionRecord) -> None:
        """The action ended. What was closed is gone; what was refused together goes alone; else the age counts anew."""
        state = self.state
        was_tried = decision.outcome == "Sent" or decision.primary_reject_reason == DRY_RUN
        for address in state.taken:
            row = state.rows.get(address)
            if row is None or decision.outcome == "Expired":
                continue
            if decision.outcome == "Confirmed":
                del state.rows[address]
            elif was_tried or len(state.taken) == 1:
                row.since_ms = self.now_ms
            else:
                row.alone = True
        state.taken = ()

    # operators

    def _control(self, event: ControlRequest) -> tuple[Event, ...]:
        if event.kind != BURN or event.target not in ("execution-engine", "all"):
            return ()
        state = self.state
        answer = ControlResponse(event.request_id, self.name, "ok")
        unknown = [address for address in event.token_accounts if address not in state.rows]
        if event.owner_pubkey != state.wallet:
            return (_with(answer, "error", f"owner {event.owner_pubkey} is not the wallet {state.wallet}"),)
        if event.close_accounts is False:
            return (_with(answer, "error", "what is burnt is closed too"),)
        if state.action.said or state.todo:
            return (_with(answer, "busy", "a round is under way"),)
        if unknown or not event.token_accounts:
            return (_with(answer, "not_found", f"accounts not told: {', '.join(unknown) or 'none named'}"),)
        for address in event.token_accounts:
            why_not = self._hindrance(state.rows[address])
            if why_not is not None:
                return (_with(answer, "error", f"{address}: {why_not}"),)
        state.todo = dict.fromkeys(event.token_accounts, "request")
        return (answer,)

    def _hindrance(self, row: Held) -> str | None:
        """Why an account cannot be burnt and closed at all; None: it can be tried."""
        if not row.closable:
            return "frozen, wrapped SOL or not ours to close"
        if row.amount and self.known.mints.get(row.mint) is None:
            return "its mint was not told"
        return None

    # wishes

    def _wish(self) -> TradeIntent | None:
        """The next action of the round, if none is under way."""
        state, params = self.state, self.params
        if state.action.said or not state.wallet:
            return None
        if not state.todo and self.now_ms >= state.next_ms:
            state.next_ms = self.now_ms + params.interval_ms
            old = [address for address, row in state.rows.items() if self._is_old(row)]
            state.todo = dict.fromkeys(old[: params.max_per_round], "round")
        while state.todo:
            first = next(iter(state.todo))
            why = state.todo[first]
            taken = self._together(first)
            for address in taken:
                del state.todo[address]
            rows = {address: state.rows[address] for address in taken if self._is_due(address, why)}
            intent = self._intent(rows, why) if rows else None
            if intent is not None:
                state.action.said, state.taken = True, tuple(rows)
                return intent
        return None

    def _together(self, first: Key) -> tuple[Key, ...]:
        """The next address of the round and those that one transaction closes with it."""
        rows = self.state.rows
        if not _joins(rows.get(first)):
            return (first,)
        program = rows[first].program
        alike = [one for one in self.state.todo if _joins(rows.get(one)) and rows[one].program == program]
        return tuple(alike[:MOST_CLOSED])

    def _is_due(self, address: Key, why: str) -> bool:
        row = self.state.rows.get(address)
        return row is not None and row.closable and (why == "request" or self._is_old(row))

    def _is_old(self, row: Held) -> bool:
        """Whether a round takes it: empty for long, or dust that nobody pays for."""
        params, age = self.params, self.now_ms - row.since_ms
        if not row.closable:
            return False
        if not row.amount:
            return age >= params.min_age_ms
        if not params.burn_enabled or age < params.burn_min_age_ms:
            return False
        return worth(row.mint, row.amount, params.burn_max_value_lamports, self.known, []) is None

    def _intent(self, rows: dict[Key, Held], why: str) -> TradeIntent | None:
        """The wish to close or burn; None: the mint's decimals are not known, without which nothing is burnt."""
        params, row = self.params, next(iter(rows.values()))
        mint = self.known.mints.get(row.mint)
        purpose = "burn" if row.amount else "close"
        if purpose == "burn" and mint is None:
            return None
        metadata = {
            "reason": why,
            "lamports": str(sum(one.lamports for one in rows.values())),
            "account_seq": " ".join(str(one.seq) for one in rows.values()),
            "dry_run": "true" if params.dry_run else "false",
        }
        if len(rows) > 1:
            metadata["mints"] = " ".join(one.mint for one in rows.values())
        if row.withheld:
            metadata["withheld"] = "true"
        if purpose == "burn":
            metadata["max_value_lamports"] = str(params.burn_max_value_lamports)
        resources = TradeResources(row.mint, NATIVE_SOL, accounts=tuple(rows), token_program=row.program)
        given = ExplicitAmount(row.amount, 0 if mint is None else mint.decimals)
        return action(self.name, purpose, given, resources, metadata)


def _joins(row: Held | None) -> bool:
    """Whether an account may be closed together with others: empty, nothing to harvest, not refused so before."""
    return row is not None and not (row.amount or row.withheld or row.alone)


def _with(answer: ControlResponse, status: str, message: str) -> ControlResponse:
    return ControlResponse(answer.request_id, answer.target, status, message=message)
