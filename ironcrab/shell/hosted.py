"""The local chain as `ironcrab localnet` hosts it: made from folders and options, served by RPC and by feed."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from solders.pubkey import Pubkey

from ironcrab.dex.address import is_key
from ironcrab.domain.fault import InputFault
from ironcrab.shell import genesis
from ironcrab.shell.clock import now_ns
from ironcrab.shell.fates import Fates, parse_fates
from ironcrab.shell.local_chain import FINALIZE_AFTER, LocalChain
from ironcrab.shell.localnet import Localnet
from ironcrab.shell.vm import Vm

MOST_SOL = 1_000_000


def make_chain(
    programs: Path | None,
    accounts: Path | None,
    slot_ms: int,
    rent: int | None,
    fates: Path | None,
    drops: tuple[str, ...],
) -> LocalChain:
    """The chain of these options; its time is the host's. InputFault names what cannot be used."""
    vm = Vm(rent)
    genesis.load(vm, programs, accounts)
    unix_ms = now_ns() // 1_000_000 - (FINALIZE_AFTER + 1) * slot_ms
    chain = LocalChain(vm, slot_ms, unix_ms, _fates(fates))
    for text in drops:
        key, lamports = _drop(text)
        chain.airdrop(key, lamports)
    return chain


def _fates(path: Path | None) -> Fates:
    if path is None:
        return Fates()
    try:
        return parse_fates(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise InputFault(f"script {path} cannot be read: {error}") from error


def _drop(text: str) -> tuple[Pubkey, int]:
    key, _, amount = text.partition("=")
    if not is_key(key) or not (amount.isascii() and amount.isdigit()) or not 0 < int(amount) <= MOST_SOL:
        raise InputFault(f"--airdrop {text[:80]!r} is no KEY=SOL with 1 to {MOST_SOL} whole SOL")
    return Pubkey.from_string(key), int(amount) * 10**9


@asynccontextmanager
async def served(
    chain: LocalChain, rpc_port: int, feed_port: int | None, *, tick: bool
) -> AsyncIterator[tuple[str, str | None]]:
    """Serve the chain; gives the address of the RPC, and of the feed where it has a port."""
    async with AsyncExitStack() as stack:
        feed_url = None
        if feed_port is not None:
            feed_url = await stack.enter_async_context(_feed(chain, feed_port))
        net = await stack.enter_async_context(Localnet(chain, rpc_port, tick=tick))
        yield net.url, feed_url


@asynccontextmanager
async def _feed(chain: LocalChain, port: int) -> AsyncIterator[str]:
    """The chain's frames through a Yellowstone server: what the chain says is published at once.

    The feed's first slot is the one being built now; statuses of those before it are not told.
    """
    from ironcrab.shell.geyser_chain import Chain  # noqa: PLC0415 - gRPC loads only where a feed is served
    from ironcrab.shell.geyser_filters import update_of  # noqa: PLC0415 - as above
    from ironcrab.shell.geyser_server import GeyserServer  # noqa: PLC0415 - as above

    feed = Chain(iter(()))
    first = chain.slot

    def publish(frame: bytes) -> None:
        update = update_of(frame)
        if update is not None and update.slot >= first:
            feed.publish(update)

    chain.listeners.append(publish)
    try:
        async with GeyserServer(feed, port=port) as server:
            yield f"http://{server.host}:{server.port}"
    finally:
        chain.listeners.remove(publish)
