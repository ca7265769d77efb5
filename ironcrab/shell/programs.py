"""Real programs beside our own mathematics: one swap on given accounts, executed in solders.litesvm.

A trader of our own making, with more than enough of both mints, sends the venue's own instruction; what left and
reached his token accounts is what the program paid. Every account is set anew for each swap, and the clock with it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from blake3 import blake3
from msgspec import Struct

from ironcrab.dex import ABSENT, Account, Clock, Instruction, Refusal, base58, dlmm_state, raydium_cpmm, venue_of
from ironcrab.dex.address import TOKEN_PROGRAMS, associated
from ironcrab.dex.face import Exact
from ironcrab.dex.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE
from ironcrab.domain.fault import InputFault

PURSE = 1 << 62
"""Raw units of each mint that the trader holds before a swap."""
RENT = 2_039_280
"""Lamports that a token account of 165 bytes keeps beside what it wraps."""
UNITS = 1_400_000
"""Compute units of each transaction, the most there are."""
OBSERVATION = bytes.fromhex("7aaec5358109a584") + b"\1" + bytes(2)
"""How a CPMM observation account begins: its mark, initialised, place 0; the pool and 4,032 bytes follow."""
SWAP_ACCOUNTS = 11
"""Accounts of Whirlpool's `swap`; its three tick arrays are the eighth to the tenth."""
NO_INSTRUCTION = ("Custom(101)", "InvalidInstructionData")
"""Anchor's answer, and Raydium's, to an instruction that a program does not know: it is older than the form."""
ACCOUNT_ERRORS = range(2_000, 4_000)
"""Anchor's errors about the accounts that a program was given, not about what it was asked."""
PROGRAMS_MISSING = "--programs needs solders; install it: pip install 'ironcrab[live]'"


class Paid(Struct, frozen=True):
    """What a program took from the trader and gave him, raw units; changed accounts by address as it left them."""

    paid: int
    got: int
    after: Mapping[str, Account]


class NotRun(Struct, frozen=True):
    """Why the program's answer is not to be had, or what it answered instead of paying.

    `refused`: its error and what it logged; None where it had no say, or may refuse for an account that is not known.
    """

    why: str
    refused: str | None = None


class Programs:
    """The programs of a folder (`<program id>.so`), each in one virtual machine.

    Raises:
        InputFault: solders is not installed, the folder holds no program, or a file cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from ironcrab.shell import genesis  # noqa: PLC0415 - solders is an extra
            from ironcrab.shell.vm import Vm  # noqa: PLC0415
        except ImportError as error:
            raise InputFault(PROGRAMS_MISSING) from error
        vm = Vm()
        if not genesis.load(vm, folder, None)[0]:
            raise InputFault(f"{folder} holds no <program id>.so; dump one with: solana program dump PROGRAM_ID FILE")
        self.svm = vm.svm.with_sigverify(False)
        self.ids = {path.stem: None for path in sorted(folder.glob("*.so"))}
        self.digest = _digest(folder, self.ids)
        self.user = base58.encode(bytes((7,)) * 32)
        self.runs = 0

    def swap(
        self,
        pool: str,
        accounts: Mapping[str, Account],
        mints: tuple[str, str],
        amount: int,
        exact: Exact,
        clock: Clock,
    ) -> Paid | NotRun:
        """What the pool's program does with `amount` raw units of the first mint (in) or the second (out)."""
        program = accounts[pool].owner
        venue = venue_of(program)
        if venue is None or program not in self.ids:
            return NotRun(f"no binary of program {program}")
        refused = NotRun("")
        for fallback in (False, True):
            built = venue.instructions(
                pool,
                accounts,
                user=self.user,
                mint_in=mints[0],
                amount=amount,
                other_amount=0 if exact == "in" else PURSE,
                exact=exact,
                clock=clock,
                fallback=fallback,
            )
            if isinstance(built, Refusal):
                found: Paid | NotRun = NotRun(f"no instruction: {built.reason}")
            else:
                found = self._execute(_of_any_age(built[-1], venue.id, accounts), pool, accounts, mints, clock)
            if isinstance(found, Paid):
                return found
            if not refused.why or any(word in refused.why for word in NO_INSTRUCTION):
                refused = found
        return refused

    def _execute(
        self,
        built: Instruction,
        pool: str,
        accounts: Mapping[str, Account],
        mints: tuple[str, str],
        clock: Clock,
    ) -> Paid | NotRun:
        """Set the stage, send the instruction, read the trader's two accounts."""
        named = {meta.pubkey: None for meta in built.metas}
        told = {address: account for address in named if (account := accounts.get(address)) is not None}
        told = dict(_unpriced(pool, told)) | told
        sides = [self._side(mint, named, told) for mint in mints]
        if None in sides:
            return NotRun("the instruction names no token account of the trader")
        held = dict(side for side in sides if side is not None)
        own = {self.user: Account(ABSENT.owner, 10**12, b"")}
        absent = [each for each in named if not (each in told or each in held or each in own or self._is_given(each))]
        for address, account in {**dict.fromkeys(absent, ABSENT), **told, **held, **own}.items():
            self._set(address, account)
        failed = self._send(built, clock)
        if failed is not None:
            writes_unknown = any(meta.writable and meta.pubkey in absent for meta in built.metas)
            if writes_unknown or (absent and _is_about_accounts(failed)):
                return NotRun(f"the program refuses, and not all its accounts are known: {failed}")
            return NotRun(f"the program refuses: {failed}", failed)
        after = {address: self._get(address) for address in (*told, *held)}
        (spent, before_in), (earned, before_out) = held.items()
        paid = _amount(before_in) - _amount(after[spent])
        got = _amount(after[earned]) - _amount(before_out)
        return Paid(paid, got, {address: after[address] for address in told if after[address] != told[address]})

    def _side(self, mint: str, named: Mapping[str, None], told: Mapping[str, Account]) -> tuple[str, Account] | None:
        """The trader's token account of this mint, like the pool's own; None: the instruction names none."""
        for program in TOKEN_PROGRAMS:
            address = associated(self.user, mint, program)
            if address in named:
                wanted = base58.decode(mint)
                like = next(
                    (each.data for each in told.values() if each.owner == program and each.data[:32] == wanted),
                    bytes(108) + b"\1" + bytes(56),
                )
                data = wanted + base58.decode(self.user) + PURSE.to_bytes(8, "little") + bytes(36) + b"\1"
                # whether it wraps SOL, and extensions, are as the pool's account has them
                return address, Account(program, PURSE + RENT, data + like[109:121] + bytes(44) + like[165:])
        return None

    def _is_given(self, address: str) -> bool:
        """Whether the machine brings this account: a program or a sysvar."""
        found = self.svm.get_account(self._key(address))
        return found is not None and (found.executable or str(found.owner).startswith("Sysvar"))

    def _set(self, address: str, account: Account) -> None:
        from solders.account import Account as Raw  # noqa: PLC0415 - solders is an extra

        raw = Raw(account.lamports, account.data, self._key(account.owner))
        self.svm.set_account(self._key(address), raw)

    def _get(self, address: str) -> Account:
        raw = self.svm.get_account(self._key(address))
        return ABSENT if raw is None else Account(str(raw.owner), raw.lamports, bytes(raw.data))

    def _send(self, built: Instruction, clock: Clock) -> str | None:
        """Execute one instruction at this time; None: it succeeded, else the error and the last line of its log."""
        from solders.clock import Clock as Time  # noqa: PLC0415 - solders is an extra
        from solders.compute_budget import set_compute_unit_limit  # noqa: PLC0415
        from solders.instruction import AccountMeta  # noqa: PLC0415
        from solders.instruction import Instruction as RawInstruction  # noqa: PLC0415
        from solders.message import Message  # noqa: PLC0415
        from solders.signature import Signature  # noqa: PLC0415
        from solders.transaction import Transaction  # noqa: PLC0415
        from solders.transaction_metadata import FailedTransactionMetadata  # noqa: PLC0415

        self.svm.set_clock(Time(clock.slot, 0, clock.epoch, clock.epoch, clock.unix_timestamp))
        metas = [AccountMeta(self._key(meta.pubkey), meta.signer, meta.writable) for meta in built.metas]
        self.runs += 1  # a machine refuses the same transaction twice
        calls = [
            set_compute_unit_limit(UNITS - self.runs % 1_000),
            RawInstruction(self._key(built.program), built.data, metas),
        ]
        message = Message.new_with_blockhash(calls, self._key(self.user), self.svm.latest_blockhash())
        done = self.svm.send_transaction(Transaction.populate(message, [Signature.default()]))
        if not isinstance(done, FailedTransactionMetadata):
            return None
        logs = [line.removeprefix("Program log: ") for line in done.meta().logs()]
        said = next((line for line in logs if "Error" in line), logs[-1] if logs else "")
        return f"{_spelt(json.loads(done.to_json())['err'])}{said and f': {said}'}"

    def _key(self, address: str) -> Any:
        from solders.pubkey import Pubkey  # noqa: PLC0415 - solders is an extra

        return Pubkey.from_string(address)


def _amount(account: Account) -> int:
    """Raw units of a token account (u64 at byte 64)."""
    return int.from_bytes(account.data[64:72], "little")


def _spelt(error: Any) -> str:
    """An error as JSON-RPC spells it, in words."""
    if isinstance(error, dict) and "InstructionError" in error:
        error = error["InstructionError"][1]
    return " ".join(f"{name}({value})" for name, value in error.items()) if isinstance(error, dict) else str(error)


def _is_about_accounts(failed: str) -> bool:
    """Whether Anchor refused the accounts; one that is not known may then be the reason."""
    head, _, code = failed.partition(":")[0].rstrip(")").partition("(")
    return head == "Custom" and int(code) in ACCOUNT_ERRORS


def _digest(folder: Path, ids: Iterable[str]) -> str:
    """What tells these binaries from others: of their program ids and bytes, 32 hex digits."""
    hasher = blake3(b"ironcrab programs\0")
    for program in ids:
        hasher.update(f"{program}\0".encode() + blake3((folder / f"{program}.so").read_bytes()).digest())
    return hasher.hexdigest(length=16)


def _of_any_age(built: Instruction, venue: str, accounts: Mapping[str, Account]) -> Instruction:
    """The instruction as a Whirlpool program of 2022 takes it, too: it knows no limit of 0, and all arrays must exist.

    Traders then named an array again where the next one did not exist.
    """
    if venue != "orca":
        return built
    a_to_b = built.data[41]
    limit = (MIN_SQRT_PRICE if a_to_b else MAX_SQRT_PRICE).to_bytes(16, "little")
    metas = list(built.metas)
    if len(metas) == SWAP_ACCOUNTS:
        for place in (8, 9):
            account = accounts.get(metas[place].pubkey)
            if account is None or not account.data:
                metas[place] = metas[place - 1]
    return msgspec.structs.replace(built, metas=tuple(metas), data=built.data[:24] + limit + built.data[40:])


def _unpriced(pool: str, told: Mapping[str, Account]) -> Iterator[tuple[str, Account]]:
    """Fresh accounts that the pool's program writes its prices to and never pays by; recordings may lack them."""
    account = told[pool]
    if account.owner == raydium_cpmm.PROGRAM:
        state = raydium_cpmm.decode(account)
        if not isinstance(state, Refusal):
            yield state.observation, Account(account.owner, 10**10, OBSERVATION + base58.decode(pool) + bytes(4032))
    elif account.owner == dlmm_state.PROGRAM:
        data = dlmm_state.ORACLE + bytes(16) + (100).to_bytes(8, "little") + bytes(32 * 100)
        yield dlmm_state.oracle_address(pool), Account(account.owner, 10**10, data)
