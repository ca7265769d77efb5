"""The paper wallet: what it holds as its own landings leave it, and what the chain would tell of it.

Balances come from recorded snapshots and account writes; on them stand the own fills. Buys are paid from WSOL once
there was any, before that from native SOL, as the engine counts them. All of it follows from the records that are seen.
"""

from struct import pack

from msgspec import Struct

from ironcrab.dex import Account, Refusal, base58
from ironcrab.dex.address import SYSTEM, TOKEN, TOKEN_2022, TOKEN_PROGRAMS, WSOL, associated, is_key
from ironcrab.dex.mint import decode_token
from ironcrab.domain.ask import ConfirmAnswer, Plan
from ironcrab.domain.control import RunStarted
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten, TokenMintInfo, WalletBalanceSnapshot
from ironcrab.domain.units import NATIVE_SOL, SOL_MINT, TOKEN_PROGRAM, Key, Lamports, Slot
from ironcrab.execution.housekeeping import VENUE
from ironcrab.market.rent import RENT_SYSVAR, least_lamports
from ironcrab.mode.fills import Fill, NoFill

PAPER = "paper"
"""`source` of what the paper world tells of the wallet."""
REFUSED = "PAPER_WALLET"
"""Error of an action that the wallet cannot do."""
MONEY = (NATIVE_SOL, SOL_MINT)
SIZES = {TOKEN: 165, TOKEN_2022: 170}
"""Bytes of an associated account without extensions that cost more."""
MOST_ACCOUNTS = 65_536
"""Own accounts and mints remembered at most; the one told longest ago goes first."""


class Held(Struct):
    """An own token account: its mint, token program, raw units, lamports with those of wrapped SOL apart."""

    mint: Key
    program: Key
    amount: int
    rent: Lamports


class Purse:
    """See the module. Args: rent of a token account where no Rent sysvar was recorded, lamports."""

    def __init__(self, rent: int) -> None:
        self.told_rent = rent
        self.wallet = ""
        self.sysvar: Account | None = None
        self.balances: dict[str, int] = {}
        self.uses_wsol = False
        self.held: dict[str, Held] = {}
        self.mints: dict[str, tuple[str, int]] = {}

    # what is known

    def see(self, event: Event) -> None:
        """Take note of a balance, an account, a mint, or whose wallet it is."""
        kind = type(event)
        if isinstance(event, WalletBalanceSnapshot):
            self._holds(event.mint, event.balance_raw)
            self._mint(event.mint, event.token_program, event.decimals)
        elif isinstance(event, AccountWritten):
            self._written(event)
        elif isinstance(event, TokenMintInfo):
            self._mint(event.mint, event.token_program, event.decimals)
        elif kind is RunStarted:
            settings = {setting.key: setting.value for setting in getattr(event, "settings", ())}
            self.wallet = settings.get("engine.wallet", "").strip('"') or self.wallet

    def _holds(self, mint: str, raw: int) -> None:
        self.balances[mint] = raw
        self.uses_wsol = self.uses_wsol or (mint == SOL_MINT and raw > 0)
        _bound(self.balances)

    def _mint(self, mint: str, program: str, decimals: int) -> None:
        self.mints[mint] = (program, decimals)
        _bound(self.mints)

    def _written(self, event: AccountWritten) -> None:
        if event.pubkey == RENT_SYSVAR:
            self.sysvar = Account(event.owner, event.lamports, event.data)
        elif event.owner in TOKEN_PROGRAMS and is_key(self.wallet) and event.data[32:64] == base58.decode(self.wallet):
            token = decode_token(Account(event.owner, event.lamports, event.data))
            if not isinstance(token, Refusal):
                rent = event.lamports if token.reserve is None else token.reserve
                self.held[event.pubkey] = Held(token.mint, event.owner, token.amount, rent)
                _bound(self.held)
        else:
            self.held.pop(event.pubkey, None)

    def decimals(self, mint: str) -> int | None:
        """Decimals of a mint as it was told; None: it was not."""
        return 9 if mint in MONEY else self.mints.get(mint, ("", None))[1]

    def rent(self, program: str) -> int:
        """Rent of a token account, by the recorded sysvar, else as the scenario says."""
        told = least_lamports(self.sysvar, SIZES[program])
        return self.told_rent if told is None else told

    # actions

    def fill(self, plan: Plan, slot: int) -> Fill | NoFill:
        """What an action on the wallet would take and give now."""
        account, raw = plan.pool_address, plan.amount_in
        held = self.held.get(account)
        if plan.input_mint == NATIVE_SOL:
            taken = raw + (0 if self._wrapped(account) else self.rent(TOKEN))
            if taken > self.balances.get(NATIVE_SOL, 0):
                return NoFill(f"{REFUSED}: wraps {raw}, takes {taken}, has {self.balances.get(NATIVE_SOL, 0)}")
            return Fill(taken, raw, "exact", 0, slot)
        if plan.input_mint == SOL_MINT:
            if raw > self.balances.get(SOL_MINT, 0):
                return NoFill(f"{REFUSED}: unwraps {raw}, has {self.balances.get(SOL_MINT, 0)}")
            return Fill(raw, raw + (self._reserve(account) if _closed(plan) else 0), "exact", 0, slot)
        if held is not None and held.mint != plan.input_mint:
            return NoFill(f"{REFUSED}: account {account} is of another mint")
        rent = 0
        for address in _closed(plan):
            held = self.held.get(address)
            gives = raw if address == account else 0
            if held is None or held.amount != gives:
                told = "unknown" if held is None else f"holds {held.amount}"
                return NoFill(f"{REFUSED}: account {address} is {told}, the plan gives {gives}")
            rent += held.rent
        return Fill(raw, rent, "exact", 0, slot)

    def _wrapped(self, account: str) -> bool:
        return account in self.held or self.balances.get(SOL_MINT, 0) > 0

    def _reserve(self, account: str) -> int:
        held = self.held.get(account)
        return self.rent(TOKEN) if held is None else held.rent

    # landings

    def landed(self, plan: Plan, answer: ConfirmAnswer) -> list[Event]:
        """An own transaction ended: move the balances; what the chain tells of the wallet then."""
        slot, delta = answer.slot, answer.wallet_sol_delta_lamports or 0
        if slot is None:
            return []
        given = 0 if answer.fill_in is None else answer.fill_in.raw
        got = 0 if answer.fill_out is None else answer.fill_out.raw
        moved = self._acted if plan.dex == VENUE else self._swapped
        changed = moved(plan, given, got, delta)
        others = [one for one in _closed(plan) if one != plan.pool_address] if plan.dex == VENUE and got else []
        gone = (AccountWritten(address, SYSTEM, 0, b"", slot, source=PAPER) for address in others)
        return [*(self._snapshot(mint, slot) for mint in changed), *self._account(plan, slot), *gone]

    def _acted(self, plan: Plan, given: int, got: int, delta: int) -> tuple[str, ...]:
        """An action: SOL moves between the two purses, the rest of the change is native."""
        wrapped = (got if plan.output_mint == SOL_MINT else 0) - (given if plan.input_mint == SOL_MINT else 0)
        self._move(SOL_MINT, wrapped)
        self._move(NATIVE_SOL, delta - wrapped)
        account = plan.pool_address
        if wrapped > 0 and account not in self.held:
            self.held[account] = Held(SOL_MINT, TOKEN, 0, self.rent(TOKEN))
        if got:
            for address in _closed(plan):
                self.held.pop(address, None)
        if plan.input_mint in MONEY:
            return MONEY
        self._move(plan.input_mint, -given)
        return (NATIVE_SOL, plan.input_mint)

    def _swapped(self, plan: Plan, given: int, got: int, delta: int) -> tuple[str, ...]:
        sol = (got if plan.output_mint == SOL_MINT else 0) - (given if plan.input_mint == SOL_MINT else 0)
        wrapped = sol if self.uses_wsol else 0
        self._move(SOL_MINT, wrapped)
        self._move(NATIVE_SOL, delta - wrapped)
        changed = list(MONEY if self.uses_wsol else (NATIVE_SOL,))
        for mint, raw in ((plan.input_mint, -given), (plan.output_mint, got)):
            if mint != SOL_MINT and raw:
                self._move(mint, raw)
                changed.append(mint)
                self._hold(mint, raw)
        return tuple(changed)

    def _hold(self, mint: str, raw: int) -> None:
        """The own account of a mint after a fill."""
        address, program = self._address(mint)
        if address is None:
            return
        held = self.held.get(address)
        if held is None:
            held = self.held[address] = Held(mint, program, 0, self.told_rent)
            _bound(self.held)
        held.amount = max(held.amount + raw, 0)

    def _address(self, mint: str) -> tuple[str | None, str]:
        program = self.mints.get(mint, (TOKEN, 0))[0]
        if program not in TOKEN_PROGRAMS or not is_key(self.wallet) or not is_key(mint):
            return None, program
        return associated(self.wallet, mint, program), program

    def _move(self, mint: str, change: int) -> None:
        self.balances[mint] = max(self.balances.get(mint, 0) + change, 0)
        self.uses_wsol = self.uses_wsol or (mint == SOL_MINT and change > 0)

    # what the chain tells

    def _snapshot(self, mint: str, slot: Slot) -> Event:
        program, decimals = (TOKEN_PROGRAM, 9) if mint in MONEY else self.mints.get(mint, (TOKEN_PROGRAM, 0))
        return WalletBalanceSnapshot(mint, self.balances.get(mint, 0), decimals, program, slot, PAPER)

    def _account(self, plan: Plan, slot: Slot) -> list[Event]:
        """The own token account that the plan changed, as the chain writes it."""
        mint = plan.input_mint if plan.output_mint in MONEY and plan.input_mint not in MONEY else plan.output_mint
        address = plan.pool_address if plan.dex == VENUE else self._address(mint)[0]
        if address is None or (plan.dex != VENUE and mint == SOL_MINT):
            return []
        held = self.held.get(address)
        if held is None:
            return [AccountWritten(address, SYSTEM, 0, b"", slot, source=PAPER)]
        if held.mint == SOL_MINT:
            amount = self.balances.get(SOL_MINT, 0)
            data = account_data(WSOL, self.wallet, amount, held.rent) if is_key(self.wallet) else b""
            return [AccountWritten(address, TOKEN, held.rent + amount, data, slot, source=PAPER)]
        data = account_data(held.mint, self.wallet, held.amount)
        return [AccountWritten(address, held.program, held.rent, data, slot, source=PAPER)]


def account_data(mint: str, owner: str, amount: int, reserve: int | None = None) -> bytes:
    """The 165 bytes of a token account: mint 0, owner 32, amount 64, state 108, native reserve 109 (None: ordinary)."""
    native = pack("<IQ", 0, 0) if reserve is None else pack("<IQ", 1, reserve)
    return base58.decode(mint) + base58.decode(owner) + pack("<Q", amount) + bytes(36) + b"\x01" + native + bytes(44)


def _closed(plan: Plan) -> list[str]:
    """The accounts that an action closes: the first one of each CloseAccount (9) call."""
    return [call.accounts[0] for call in plan.calls if call.data == "CQ=="]


def _bound(rows: dict[str, object] | dict[str, int] | dict[str, Held] | dict[str, tuple[str, int]]) -> None:
    if len(rows) > MOST_ACCOUNTS:
        del rows[next(iter(rows))]
