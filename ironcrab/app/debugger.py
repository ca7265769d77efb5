"""The terminal debugger: records on the left; on the right the record, what is said about it, and a reducer's state."""

from collections.abc import Callable
from typing import ClassVar

import msgspec
from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Footer, Input, Static

from ironcrab.app.text import utc
from ironcrab.domain.fault import Fault
from ironcrab.loop import Record
from ironcrab.mode.condition import condition
from ironcrab.mode.stepping import Stepper

FAR = 100
"""Records of a long step."""
STATE_CHARS = 20_000
"""Characters of a state that are shown."""


class Debugger(App[None]):
    """Steps through a recording.

    Args:
        stepper: where it stands.
        shown: the reducer whose state is shown first; None: the last one.
        wanted: the condition to break at; None: none yet.
    """

    TITLE = "ironcrab step"
    ENABLE_COMMAND_PALETTE = False
    AUTO_FOCUS = None
    CSS = """
    #list { width: 45%; border-right: solid $primary; }
    #right { width: 55%; }
    #record { height: auto; max-height: 45%; }
    #said { height: auto; max-height: 25%; color: $success; }
    #ask { display: none; dock: bottom; }
    #line { dock: top; height: 1; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("right,n", "step(1)", "forward"),
        Binding("left,p", "step(-1)", "back"),
        Binding("pagedown", f"step({FAR})", f"+{FAR}"),
        Binding("pageup", f"step(-{FAR})", f"-{FAR}"),
        Binding("down", "scroll(1)", "scroll", show=False),
        Binding("up", "scroll(-1)", "scroll", show=False),
        Binding("g", "ask('seq')", "go to"),
        Binding("b", "ask('break')", "break at"),
        Binding("c", "run(False)", "continue"),
        Binding("r", "run(True)", "reverse"),
        Binding("tab", "reducer", "reducer", priority=True),
        Binding("slash", "ask('find')", "find in state"),
        Binding("q", "quit", "quit"),
    ]

    def __init__(self, stepper: Stepper, shown: str | None = None, wanted: str | None = None) -> None:
        super().__init__()
        self.stepper = stepper
        self.shown = shown or stepper.reducers[-1]
        self.condition = wanted or ""
        self.find = ""
        self.asked = ""
        self.note = ""

    def compose(self) -> ComposeResult:
        """The panes."""
        yield Static(id="line")
        with Horizontal():
            yield Static(id="list")
            with VerticalScroll(id="right", can_focus=False):
                yield Static(id="record")
                yield Static(id="said")
                yield Static(id="state")
        yield Input(id="ask")
        yield Footer()

    def on_mount(self) -> None:
        """The first look."""
        self.sub_title = self.stepper.recording.path.name
        self.look()

    def on_resize(self) -> None:
        """As many records as there are lines."""
        self.look()

    def look(self) -> None:
        """Show where we stand."""
        stepper = self.stepper
        half = max(4, self.size.height // 2 - 3)
        rows = [_row(record, is_here=record.seq == stepper.seq) for record in stepper.around(half, half)]
        self.query_one("#list", Static).update(Text("\n", no_wrap=True).join(rows))
        self.query_one("#record", Static).update(_record(stepper.record))
        said = [
            f"{word.by} says {_short(word.event)}{'' if word.recorded else '  NOT RECORDED'}" for word in stepper.said
        ]
        self.query_one("#said", Static).update(Text("\n".join(said)))
        self.query_one("#state", Static).update(self._state())
        broken = f"   break at: {self.condition}" if self.condition else ""
        line = f"#{stepper.seq} of {stepper.recording.next_seq - 1}{broken}   {self.note}"
        self.query_one("#line", Static).update(Text(line, no_wrap=True))

    def _state(self) -> Text:
        text = msgspec.json.format(msgspec.json.encode(self.stepper.state(self.shown)), indent=1).decode()
        if self.find:
            text = "\n".join(line for line in text.splitlines() if self.find in line)
        if len(text) > STATE_CHARS:
            text = text[:STATE_CHARS] + f"\n... {len(text) - STATE_CHARS:,} characters more; find with /"
        return Text.assemble((f"state of {self.shown}\n", "bold"), text)

    def _try(self, act: Callable[[], bool], failed: str) -> None:
        """Act, say so where it did not succeed, look."""
        try:
            self.note = "" if act() else failed
        except Fault as fault:
            self.note = str(fault)
        self.look()

    def action_step(self, count: int) -> None:
        """So many records on, or back."""
        stepper = self.stepper
        if count > 0:
            self._try(lambda: stepper.forward(count), "the end")
        else:
            self._try(lambda: stepper.back(-count), "the beginning")

    def action_scroll(self, pages: int) -> None:
        """The right side by half a page."""
        right = self.query_one("#right", VerticalScroll)
        right.scroll_relative(y=pages * max(1, right.size.height // 2), animate=False)

    def action_run(self, backwards: bool) -> None:
        """On, or back, to the next record at which the condition holds."""
        if not self.condition:
            self.note = "no condition; set one with b"
            self.look()
            return
        holds = condition(self.condition)
        self._try(lambda: self.stepper.search(holds, backwards=backwards), "nothing more matches")

    def action_reducer(self) -> None:
        """The next reducer's state."""
        names = self.stepper.reducers
        place = names.index(self.shown) if self.shown in names else -1
        self.shown = names[(place + 1) % len(names)]
        self.look()

    def action_ask(self, what: str) -> None:
        """Ask for a seq, a condition or a text."""
        self.asked = what
        box = self.query_one("#ask", Input)
        box.value = self.condition if what == "break" else ""
        box.placeholder = {"seq": "seq", "break": 'type == "DecisionRecord"', "find": "text"}[what]
        box.display = True
        box.focus()

    def on_input_submitted(self, told: Input.Submitted) -> None:
        """The answer."""
        box, value = self.query_one("#ask", Input), told.value.strip()
        box.display = False
        self.set_focus(None)
        if self.asked == "seq":
            self._try(lambda: self._go(value), f"{value!r} is no seq")
        elif self.asked == "find":
            self.find = value
            self.look()
        else:
            self._try(lambda: self._break(value), "")

    def _go(self, value: str) -> bool:
        if value.isdigit():
            self.stepper.go(int(value))
        return value.isdigit()

    def _break(self, value: str) -> bool:
        if value:
            condition(value)
        self.condition = value
        return True


def _row(record: Record, *, is_here: bool) -> Text:
    by = f" {record.by}" if record.by else ""
    text = f"{record.seq:>8}  {type(record.event).__name__}{by}  {_about(record)}"
    return Text(text, style="reverse" if is_here else "", no_wrap=True)


def _about(record: Record) -> str:
    event = record.event
    for name in ("code", "outcome", "status", "mint", "pool_address", "current_slot"):
        value = getattr(event, name, None)
        if value:
            return str(value)[:16]
    return ""


def _record(record: Record) -> Text:
    cause = "the world" if record.cause is None else f"{record.by}, because of #{record.cause}"
    fields = msgspec.to_builtins(record.event)
    lines = [
        f"  {name} = {_short(value)}"
        for name, value in fields.items()
        if name != "type" and value not in (None, (), [], {}, "")
    ]
    head = (f"#{record.seq} {type(record.event).__name__}", "bold")
    return Text.assemble(head, f"  {utc(record.time)}  {cause}\n", "\n".join(lines), "\n")


def _short(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 160 else text[:157] + "..."
