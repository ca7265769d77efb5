"""Commands about the host and the chain: localnet serves one, doctor looks at what live trading needs."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ironcrab.app.settings import environment
from ironcrab.app.text import emit_json
from ironcrab.domain.fault import InputFault

if TYPE_CHECKING:
    from ironcrab.shell.local_chain import LocalChain

PATH = click.Path(path_type=Path)


@click.command("localnet")
@click.option("--rpc-port", type=click.IntRange(0, 65535), default=8899, show_default=True, help="JSON-RPC; 0: any.")
@click.option("--feed-port", type=click.IntRange(0, 65535), help="Yellowstone gRPC of the same chain; 0: any.")
@click.option("--programs", type=PATH, help="Folder of <program id>.so files.")
@click.option("--accounts", type=PATH, help="Folder of *.json accounts, as `solana account --output json` writes.")
@click.option("--slot-ms", type=click.IntRange(1, 60_000), default=400, show_default=True, help="Milliseconds a slot.")
@click.option("--rent", type=click.IntRange(1), help="Lamports a byte; default: the machine's Rent sysvar.")
@click.option("--fates", type=PATH, help="A script of what goes wrong; see above.")
@click.option("--airdrop", "drops", multiple=True, metavar="KEY=SOL", help="SOL that a key has at the start.")
@click.option("--still", is_flag=True, help="Slots advance by the RPC call localnet_advance only.")
def localnet_command(
    rpc_port: int,
    feed_port: int | None,
    programs: Path | None,
    accounts: Path | None,
    slot_ms: int,
    rent: int | None,
    fates: Path | None,
    drops: tuple[str, ...],
    still: bool,
) -> None:
    """Serve a chain of one node on loopback: a real virtual machine behind JSON-RPC, without internet or money.

    A script of fates has one a line; N counts distinct transactions, `every K` takes each K-th: drop N [TIMES|all],
    delay N SLOTS, fail N, mute N [TIMES|all], hide N SLOTS, busy METHOD N, behind METHOD N.
    """
    from ironcrab.shell import hosted  # noqa: PLC0415 - the virtual machine loads only here
    from ironcrab.shell.wallet import refuse_if_key_in_reach  # noqa: PLC0415 - as above

    refuse_if_key_in_reach(environment(), "localnet")
    chain = hosted.make_chain(programs, accounts, slot_ms, rent, fates, drops)
    asyncio.run(_serve(chain, rpc_port, feed_port, tick=not still))


async def _serve(chain: "LocalChain", rpc_port: int, feed_port: int | None, *, tick: bool) -> None:
    from ironcrab.shell import hosted  # noqa: PLC0415 - as above

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with hosted.served(chain, rpc_port, feed_port, tick=tick) as (rpc_url, feed_url):
        click.echo(f"rpc  {rpc_url}", err=True)
        if feed_url:
            click.echo(f"feed {feed_url}", err=True)
        click.echo(f"next: ironcrab doctor --rpc {rpc_url}", err=True)
        await stop.wait()


@click.command("doctor")
@click.option("--rpc", "rpc_url", metavar="URL", help="The node's JSON-RPC.")
@click.option("--endpoint", metavar="URL", help="The Yellowstone endpoint.")
@click.option("--token-file", type=PATH, help="Its token, on one line.")
@click.option("--ca-file", type=PATH, help="PEM of the certificate authority to trust, where it is not a usual one.")
@click.option("--key-file", type=PATH, help="The signing key.")
@click.option("--wallet", metavar="ADDRESS", help="The wallet, where no key is at hand.")
@click.option("--data", type=PATH, default=Path("data"), show_default=True, help="Folder of recordings.")
@click.option("--least-sol", default="0.1", show_default=True, metavar="SOL", help="Less in the wallet is not ok.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor_command(
    rpc_url: str | None,
    endpoint: str | None,
    token_file: Path | None,
    ca_file: Path | None,
    key_file: Path | None,
    wallet: str | None,
    data: Path,
    least_sol: str,
    as_json: bool,
) -> None:
    """Look at what live trading needs: endpoint, clock, disk, key, wallet, versions; exit 3 where one is not ok.

    Paper needs --endpoint alone; real money --rpc and --key-file too.
    """
    from ironcrab.shell import doctor  # noqa: PLC0415 - loads the network's libraries

    case = doctor.Case(
        rpc_url=rpc_url,
        endpoint=endpoint,
        token_file=token_file,
        ca_file=ca_file,
        key_file=key_file,
        wallet=wallet,
        data=data,
        least_lamports=_lamports(least_sol),
        environment=environment(),
    )
    findings = asyncio.run(doctor.examine(case))
    if as_json:
        emit_json({"ok": all(finding.ok for finding in findings), "findings": findings})
    else:
        for finding in findings:
            click.echo(f"{'ok' if finding.ok else 'NOT OK':<7} {finding.what:<9} {finding.text}")
    if not all(finding.ok for finding in findings):
        sys.exit(3)


def _lamports(text: str) -> int:
    """SOL as decimal text to lamports, exactly; InputFault otherwise."""
    whole, _, part = text.partition(".")
    digits = text.isascii() and whole.isdigit() and (part.isdigit() or not part)
    if not digits or len(part) > 9 or len(whole) > 9:
        raise InputFault(f"--least-sol {text[:40]!r} is no amount of SOL such as 0.25")
    return int(whole) * 10**9 + int(part.ljust(9, "0") if part else 0)
