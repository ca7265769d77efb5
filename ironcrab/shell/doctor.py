"""What `ironcrab doctor` looks at. Each finding is ok, or says what to do; nothing is changed, nothing is signed."""

import platform
import shutil
from collections.abc import Awaitable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from msgspec import Struct

from ironcrab import __version__
from ironcrab.dex.address import SYSTEM, is_key
from ironcrab.domain.fault import Fault
from ironcrab.shell.rpc import Rpc
from ironcrab.shell.skew import MOST_SKEW_S, REPLAYED_S, sentence_of, skew_of
from ironcrab.shell.wallet import load_wallet, refuse_if_key_in_reach

LEAST_FREE_BYTES = 5 * 2**30
"""Free disk below which a session that records is at risk."""
PACKAGES = ("msgspec", "protobuf", "aiohttp", "solders", "grpcio")


class Case(Struct, frozen=True):
    """What is to be looked at; None: it was not named, and that is said."""

    rpc_url: str | None
    endpoint: str | None
    token_file: Path | None
    ca_file: Path | None
    key_file: Path | None
    wallet: str | None
    data: Path
    least_lamports: int
    environment: Mapping[str, str]


class Finding(Struct, frozen=True):
    """One line: what was looked at, whether it is ok, and what was seen or what to do."""

    what: str
    ok: bool
    text: str


async def examine(case: Case) -> tuple[Finding, ...]:
    """All findings, in a fixed order."""
    key, address = _key(case)
    found = [_versions(), _disk(case.data), _reach(case.environment), key]
    found += await _node(case, address)
    found += await _feed(case)
    return tuple(found)


def _versions() -> Finding:
    told, missing = [f"ironcrab {__version__}", f"python {platform.python_version()}"], []
    for name in PACKAGES:
        try:
            told.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("versions", False, f"missing: {', '.join(missing)}; run: pip install 'ironcrab[live]'")
    return Finding("versions", True, ", ".join(told))


def _disk(folder: Path) -> Finding:
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("disk", False, f"{there} cannot be looked at: {error.strerror}")
    text = f"{free // 2**20:,} MB free at {there}"
    if free < LEAST_FREE_BYTES:
        return Finding("disk", False, f"{text}; {LEAST_FREE_BYTES // 2**20:,} MB are wanted: make room or name --data")
    return Finding("disk", True, text)


def _reach(environment: Mapping[str, str]) -> Finding:
    try:
        refuse_if_key_in_reach(environment, "ironcrab")
    except Fault as fault:
        return Finding("reach", False, str(fault))
    return Finding("reach", True, "no signing key in the environment")


def _key(case: Case) -> tuple[Finding, str | None]:
    """The key file, and the address that is to be looked at."""
    if case.wallet is not None and not is_key(case.wallet):
        return Finding("key", False, f"{case.wallet[:60]!r} is no wallet address"), None
    if case.key_file is None:
        return Finding("key", True, "none named (--key-file); paper trading needs none"), case.wallet
    try:
        address = load_wallet(case.key_file).address
    except Fault as fault:
        return Finding("key", False, str(fault)), case.wallet
    if case.wallet not in (None, address):
        return Finding("key", False, f"the key is that of {address}, not of {case.wallet}"), case.wallet
    return Finding("key", True, f"{case.key_file} is ours alone and signs for {address}"), address


async def _node(case: Case, address: str | None) -> list[Finding]:
    """The node, the clock against its chain, and the wallet on it."""
    if case.rpc_url is None and case.endpoint is not None and address is None:
        return [Finding("rpc", True, "none named (--rpc URL); paper trading needs none")]
    if case.rpc_url is None:
        return [Finding("rpc", False, "no node named; name one with --rpc URL")]
    try:
        node = Rpc(case.rpc_url)
    except Fault as fault:
        return [Finding("rpc", False, str(fault))]
    async with node as rpc:
        looks = [("rpc", _health(rpc)), ("clock", _clock(rpc))]
        if address is not None:
            looks.append(("wallet", _wallet(rpc, address, case.least_lamports)))
        return [await _looked(what, look) for what, look in looks]


async def _looked(what: str, look: Awaitable[Finding]) -> Finding:
    try:
        return await look
    except Fault as fault:
        return Finding(what, False, str(fault))


async def _health(rpc: Rpc) -> Finding:
    await rpc.call("getHealth", [], str)
    told = await rpc.call("getVersion", [], dict[str, object])
    slot = await rpc.slot("confirmed")
    return Finding("rpc", True, f"node {rpc.name} runs {told.get('solana-core')}, confirmed slot {slot:,}")


async def _clock(rpc: Rpc) -> Finding:
    return _judged(await skew_of(rpc), "chain")


async def _wallet(rpc: Rpc, address: str, least: int) -> Finding:
    account = (await rpc.accounts([address], "confirmed")).value[0]
    lamports = 0 if account is None else account.lamports
    if account is not None and account.owner != SYSTEM:
        return Finding("wallet", False, f"{address} belongs to the program {account.owner}; it is no wallet")
    text = f"{address} holds {lamports:,} lamports"
    return Finding("wallet", lamports >= least, text if lamports >= least else f"{text}; {least:,} are wanted: fund it")


async def _feed(case: Case) -> list[Finding]:
    """The endpoint, by what a session of paper asks of it; and the clock against its newest block."""
    if case.endpoint is None:
        return [Finding("endpoint", True, "none named (--endpoint URL), none looked at")]
    from ironcrab.shell.endpoint import endpoint  # noqa: PLC0415 - gRPC loads only where an endpoint is named
    from ironcrab.shell.pulse import pulse_of  # noqa: PLC0415 - as above

    try:
        pulse = await pulse_of(endpoint(case.endpoint, case.token_file, case.ca_file))
    except Fault as fault:
        return [Finding("endpoint", False, str(fault))]
    found = [Finding("endpoint", True, f"{pulse.target} runs {pulse.version}, newest block {pulse.slot:,}")]
    if case.rpc_url is None:
        found.append(_judged(pulse.skew_s, "the endpoint's chain"))
    return found


def _judged(skew_s: int | None, chain: str) -> Finding:
    """A clock that differs from that of `chain` by so many seconds; None: the chain does not say."""
    if skew_s is None or abs(skew_s) >= REPLAYED_S:
        return Finding("clock", True, f"{chain} is of the past or tells no time: nothing to look at the clock by")
    if abs(skew_s) > MOST_SKEW_S:
        return Finding("clock", False, sentence_of(skew_s))
    return Finding("clock", True, f"host and {chain} differ by {skew_s} s")
