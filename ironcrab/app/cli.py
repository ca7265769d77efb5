"""The command line: verb first, path second. stdout is the answer, stderr progress and diagnostics.

Exit codes: 0 yes; 1 error (one sentence on stderr); 2 usage; 3 ran well, the answer is no; 130 interrupted.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from ironcrab import __version__
from ironcrab.app.settings import quiet_grpc, wants_color, wants_traceback
from ironcrab.domain.fault import Fault

COMMANDS: tuple[tuple[str, str, str], ...] = (
    ("import", "writing", "Turn foreign files into a recording."),
    ("run", "writing", "Fold recorded market events through a scenario; write a new recording."),
    ("backtest", "backtesting", "Run a scenario over recordings in the paper world; say what came of it."),
    ("fidelity", "backtesting", "How far the fill model is from each recorded swap."),
    ("report", "backtesting", "One HTML page about a run, or two side by side."),
    ("generate", "sweeping", "Write a synthetic market from a seed."),
    ("sweep", "sweeping", "Many rows of parameters over recordings; one table of results."),
    ("branch", "branching", "What if from this moment: other parameters over the recorded market."),
    ("step", "branching", "Step through a recording in the terminal, forwards and backwards."),
    ("params", "writing", "List every parameter of a scenario: unit, default, range, origin."),
    ("replay", "judging", "Follow a recording, compare, print the summary."),
    ("verify", "judging", "The same for CI; no argument: all goldens."),
    ("explain", "reading", "From a decision back to the feed updates that caused it."),
    ("why", "reading", "What each strategy thought of a mint and why it did not trade."),
    ("bless", "judging", "Accept an intended change of a golden, with its reason."),
    ("diff", "judging", "First difference of two recordings and all independent ones."),
    ("inspect", "reading", "What is in a recording; or its records by seq."),
    ("query", "reading", "SQL over a recording: one view per event type, and `log`."),
    ("check", "judging", "Ask a finished log all invariants."),
    ("seal", "writing", "Turn the hot segments of a recording into Parquet."),
    ("retain", "writing", "Drop old segments by age or size; pinned recordings never."),
    ("export", "writing", "Write the wire contract's JSONL."),
    ("slice", "writing", "Cut a part out of a recording; it opens with a start state."),
    ("quote", "pricing", "What the on-chain program would pay, to the last unit."),
    ("venues", "pricing", "Which venues are supported, generation by generation."),
    ("feed", "feeding", "Serve a capture, a recording's raw frames or a demo as a Yellowstone endpoint."),
    ("record", "feeding", "Write a live feed into a recording; run no strategy."),
    ("localnet", "hosting", "Serve a local chain on loopback: JSON-RPC and feed over a real virtual machine."),
    ("doctor", "hosting", "Look at what live trading needs: endpoint, clock, disk, key, wallet, versions."),
    ("live", "living", "Run a scenario on a live feed: paper, unless --armed names the wallet."),
    ("up", "noding", "Run a scenario as separate processes over NATS, supervised."),
    ("node", "noding", "Run one of these processes."),
    ("kill", "living", "Turn the kill switch of running sessions on."),
    ("reset", "living", "Turn it off."),
    ("set", "living", "Change engine parameters of running sessions."),
    ("unit", "living", "Print a systemd unit that runs a scenario live."),
    ("decide", "writing", "The engine alone over the original's TradeIntent lines."),
)
"""Every command, written by hand: name, module in ironcrab.app, what it does. Loaded when it is called."""


class Commands(click.Group):
    """The group; a command's module is imported only when the command is called, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        del ctx
        return [name for name, _, _ in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, loaded."""
        del ctx
        for name, module, _ in COMMANDS:
            if name == cmd_name:
                loaded = importlib.import_module(f"ironcrab.app.{module}")
                command: click.Command = getattr(loaded, f"{name}_command")
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Names near a mistyped one are told."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            import difflib  # noqa: PLC0415 - only a mistake pays for it

            near = difflib.get_close_matches(name, self.list_commands(ctx), 1)
            hint = f" Did you mean {near[0]!r}?" if near else " Run: ironcrab --help"
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without loading anything."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, _, text in COMMANDS])


@click.group(cls=Commands, context_settings={"auto_envvar_prefix": "IRONCRAB", "max_content_width": 110})
@click.version_option(__version__, prog_name="ironcrab")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """One log, one loop, same bytes: replay, explain and backtest Solana DEX trading.

    A recording is a folder. Exit codes: 0 yes, 1 error, 2 usage, 3 ran well and the answer is no.
    """
    ctx.color = wants_color(sys.stdout.isatty())
    if "" not in sys.path:
        sys.path.insert(0, "")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    quiet_grpc()
    try:
        code = cli.main(args=args, prog_name="ironcrab", standalone_mode=False)
        sys.stdout.flush()
    except Fault as fault:
        click.echo(f"error: {fault}", err=True)
        sys.exit(1)
    except click.exceptions.Exit as leaving:
        sys.exit(leaving.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        where = f" {error.filename}" if error.filename else ""
        click.echo(f"error: the system refused{where}: {error.strerror or error}; make room or permit it", err=True)
        _leave(1)
    except Exception as error:  # noqa: BLE001 - one sentence for the unforeseen too, a user's own strategy included
        click.echo(f"error: {_unforeseen(error)}", err=True)
        _leave(1)
    sys.exit(code if isinstance(code, int) else 0)


def _leave(code: int) -> NoReturn:
    """Exit without a word about a stdout that cannot be flushed."""
    sys.stdout = None  # the interpreter then has nothing to flush
    sys.exit(code)


def _unforeseen(error: Exception) -> str:
    """What an exception says and where it was raised; the whole traceback too where IRONCRAB_TRACEBACK is set."""
    import traceback  # noqa: PLC0415 - only a mistake pays for it

    if wants_traceback():
        traceback.print_exception(error)
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = " ".join(str(error).split())[:300]
    return (
        f"{type(error).__name__}: {said} (raised at {last.filename}:{last.lineno} in {last.name}); "
        "set IRONCRAB_TRACEBACK=1 to see the whole way there"
    )


if __name__ == "__main__":
    main()
