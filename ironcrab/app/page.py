"""The report: one HTML page about a run, or two side by side. Self-contained: no script, no network."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape

from ironcrab.app import charts
from ironcrab.app.text import body_of, head_of, sol, utc
from ironcrab.loop import Record
from ironcrab.mode.ledger import REFUSED, Ledger, Row

Told = tuple[str, Ledger, Mapping[int, list[Record]]]
"""A run: its name, its ledger, the records behind each decision."""
MOST_ROWS = 2_000
"""Trades of a run that are listed."""
STYLE = """
:root{--bg:#fbfbfa;--ink:#1c1e21;--dim:#676d75;--line:#dcdfe3;--a:#2f6fb2;--b:#c2702a;--up:#3b8f5a;--down:#b8433f}
@media(prefers-color-scheme:dark){:root{--bg:#15171a;--ink:#e4e6e9;--dim:#939aa3;--line:#30343a;--a:#6aa5e3;--b:#e0985a;
--up:#5fb580;--down:#e0726d}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:1080px;padding:24px;background:var(--bg);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:36px 0 8px}h3{font-size:15px;margin:20px 0 6px}
p{margin:4px 0}.dim{color:var(--dim)}.wide{overflow-x:auto}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:10px;margin:16px 0}
.tile{border:1px solid var(--line);border-radius:8px;padding:10px 12px}.tile b{display:block;font-size:18px}
.tile span{color:var(--dim);font-size:13px}
pre,td{overflow-wrap:anywhere}table{border-collapse:collapse;width:100%;font-size:13.5px;font-variant-numeric:tabular-nums}
th,td{padding:4px 10px 4px 0;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--dim);font-weight:500}td.n,th.n{text-align:right}
svg{width:100%;height:auto;display:block}svg.bar{width:180px;height:10px;display:inline-block}
polyline{fill:none;stroke-width:1.6}.s0{stroke:var(--a)}.s1{stroke:var(--b)}
polygon.s0{fill:var(--a);fill-opacity:.25;stroke-width:1}polygon.s1{fill:var(--b);fill-opacity:.25;stroke-width:1}
.up{fill:var(--up)}.down{fill:var(--down)}.flat{fill:var(--a)}.grid{stroke:var(--line)}.tick{fill:var(--dim);font-size:12px}
a{color:var(--a)}i.k0,i.k1{display:inline-block;width:10px;height:10px;border-radius:2px;background:var(--a)}
i.k1{background:var(--b)}
div.set td{white-space:normal}details{border-bottom:1px solid var(--line);padding:3px 0}
summary{cursor:pointer;font-size:13.5px}pre{overflow-x:auto;font-size:12px;line-height:1.4;margin:6px 0}
pre:target{outline:2px solid var(--a)}
"""


def page(runs: Sequence[Told]) -> str:
    """The whole document."""
    names = " and ".join(name for name, _, _ in runs)
    sections = [
        _header(runs),
        _curves(runs),
        *(_run_sections(place, told, several=len(runs) > 1) for place, told in enumerate(runs)),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>ironcrab report: {escape(names)}</title><style>{STYLE}</style></head>\n<body>"
        f"{''.join(sections)}</body></html>\n"
    )


def _header(runs: Sequence[Told]) -> str:
    parts = ["<h1>ironcrab report</h1>"]
    for place, (name, ledger, _) in enumerate(runs):
        parts.append(
            f'<p><i class="k{place}"></i> <b>{escape(name)}</b> <span class="dim">scenario '
            f"{escape(ledger.scenario)}, {utc(ledger.first_time)} to {utc(ledger.last_time)} UTC, "
            f"{ledger.trades_seen:,} market trades</span></p>"
        )
    if len(runs) == 1:
        parts.append(f'<div class="tiles">{"".join(_tile(*each) for each in _figures(runs[0][1]))}</div>')
    else:
        columns = [_figures(ledger) for _, ledger, _ in runs]
        rows = [(label, *(values[at][1] for values in columns)) for at, (label, _) in enumerate(columns[0])]
        head = ("", *(name for name, _, _ in runs))
        parts.append(_table(head, rows, numbers=(1, 2)))
    return "".join(parts)


def _figures(ledger: Ledger) -> list[tuple[str, str]]:
    """The figures that stand on top: label and text."""
    outcomes = Counter(row.outcome for row in ledger.rows)
    sells = [row.net for row in ledger.rows if row.net is not None]
    won = sum(net > 0 for net in sells)
    return [
        ("PnL, SOL", sol(ledger.equity)),
        ("of it on sells", sol(ledger.realised)),
        ("not sold yet", sol(ledger.unsold)),
        ("deepest drawdown, SOL", sol(ledger.drawdown)),
        ("confirmed trades", f"{outcomes['Confirmed']:,}"),
        ("sells won", f"{won:,} of {len(sells):,}"),
        ("failed on the chain", f"{outcomes['FailedConfirmed']:,}"),
        ("never landed", f"{outcomes['Sent']:,}"),
        ("refused", f"{sum(outcomes[name] for name in REFUSED):,}"),
    ]


def _tile(label: str, text: str) -> str:
    return f'<div class="tile"><span>{escape(label)}</span><b>{escape(text)}</b></div>'


def _curves(runs: Sequence[Told]) -> str:
    """Equity and drawdown of all runs."""
    equity = [(name, ledger.points) for name, ledger, _ in runs]
    below = [(name, _drawdown(ledger.points)) for name, ledger, _ in runs]
    ends = (
        utc(min(ledger.first_time for _, ledger, _ in runs)),
        utc(max(ledger.last_time for _, ledger, _ in runs)),
    )
    return (
        "<h2>Equity and drawdown</h2>"
        '<p class="dim">Change of the wallet in SOL, fees, tips, rent and failed attempts included; what is held '
        "counts at the last trade of its pool.</p>"
        + charts.lines(equity, "equity over time", "SOL", ends, filled=False)
        + charts.lines(below, "drawdown over time", "SOL", ends, filled=True)
    )


def _drawdown(points: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    peak, found = 0, []
    for time, equity in points:
        peak = max(peak, equity)
        found.append((time, equity - peak))
    return found


def _run_sections(place: int, told: Told, *, several: bool) -> str:
    name, ledger, grounds = told
    title = f'<h1 id="r{place}">{escape(name)}</h1>' if several else ""
    return "".join(
        (
            title,
            _profit(ledger),
            _costs(ledger),
            _refusals(place, ledger, grounds),
            _latency(ledger),
            _slippage(ledger),
            _trades(place, ledger, grounds),
            _settings(ledger),
            _explanations(place, name, ledger, grounds),
        )
    )


def _profit(ledger: Ledger) -> str:
    """Net profit of sells by what they have in common."""
    sells = [row for row in ledger.rows if row.net is not None]
    if not sells:
        return '<h2>Profit</h2><p class="dim">No sell was confirmed.</p>'
    keys: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("source", lambda row: row.source),
        ("venue", lambda row: row.dex),
        ("regime", lambda row: row.regime),
        ("exit reason", lambda row: row.reason),
    )
    body: list[Sequence[object]] = []
    for label, key in keys:
        groups: dict[str, list[int]] = {}
        for row in sells:
            groups.setdefault(key(row), []).append(row.net or 0)
        most = max(abs(sum(nets)) for nets in groups.values())
        for name, nets in sorted(groups.items(), key=lambda item: (-sum(item[1]), item[0])):
            drawn = charts.bar(sum(nets), most)
            body.append((label, name or "(none)", len(nets), sum(net > 0 for net in nets), sol(sum(nets)), drawn))
    head = ("by", "", "sells", "won", "SOL", "")
    return "<h2>Profit of sells, net</h2>" + _table(head, body, numbers=(2, 3, 4), raw=(5,))


def _costs(ledger: Ledger) -> str:
    failed = [row for row in ledger.landed if row.got is None]
    rows = [
        ("network fees of confirmed", len(ledger.landed) - len(failed), sum(r.network for r in ledger.landed if r.got)),
        ("tips", sum(row.tip > 0 for row in ledger.landed), sum(row.tip for row in ledger.landed)),
        ("rent of token accounts", sum(row.rent > 0 for row in ledger.landed), sum(row.rent for row in ledger.landed)),
        ("failed attempts", len(failed), ledger.failed_cost),
    ]
    body = [(label, count, sol(lamports)) for label, count, lamports in rows]
    reasons = Counter(row.refused for row in failed)
    notes = ", ".join(f"{escape(reason)} {count:,}" for reason, count in reasons.most_common())
    return (
        "<h2>Costs</h2>"
        + _table(("", "count", "SOL"), body, numbers=(1, 2))
        + (f"<p>Failed: {notes}</p>" if notes else "")
    )


def _refusals(place: int, ledger: Ledger, grounds: Mapping[int, list[Record]]) -> str:
    """Attempts refused before they were sent, and what the strategies said."""
    counts = Counter(row.refused for row in ledger.rows if row.outcome in REFUSED)
    last = {row.refused: row.decision for row in ledger.rows if row.outcome in REFUSED and row.decision in grounds}
    most = max(counts.values(), default=0)
    body = [
        (escape(code), count, charts.bar(count, most, "flat"), _link(place, last.get(code), "the last one"))
        for code, count in counts.most_common()
    ]
    said = sorted(ledger.verdicts.items(), key=lambda item: (-item[1], item[0]))
    text = "<h2>Refusals</h2>"
    text += (
        _table(("reason", "attempts", "", "explained"), body, numbers=(1,), raw=(0, 2, 3))
        if body
        else '<p class="dim">No attempt was refused.</p>'
    )
    if said:
        rows = [(*key.split(" ", 1), count) for key, count in said]
        text += "<h3>What the strategies said</h3>" + _table(("verdict", "code", "times"), rows, numbers=(2,))
    return text


def _latency(ledger: Ledger) -> str:
    body = [
        (name.replace("_", " "), len(values), *(_rank(values, percent) for percent in (0, 50, 90, 99, 100)))
        for name, values in ledger.stops.items()
    ]
    head = ("stop", "count", "min", "p50", "p90", "p99", "max")
    note = '<p class="dim">Milliseconds of log time; landing in slots. A paper world answers at once.</p>'
    return "<h2>Latency by stop</h2>" + note + _table(head, body, numbers=range(1, 7)) if body else ""


def _rank(values: Sequence[int], percent: int) -> int:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _slippage(ledger: Ledger) -> str:
    """What was got against what the simulation expected."""
    rows = [row for row in ledger.rows if row.slippage_bps is not None]
    if not rows:
        return ""
    groups: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        groups.setdefault((row.dex, row.side), []).append(row.slippage_bps or 0)
    body = [
        (*key, len(values), *(_rank(values, percent) for percent in (0, 5, 50, 95, 100)))
        for key, values in sorted(groups.items())
    ]
    head = ("venue", "side", "fills", "min bps", "p5", "p50", "p95", "max")
    return (
        '<h2>Slippage: got against expected</h2><p class="dim">Expected is what the simulation would have paid at '
        "the moment of decision; negative is less than that. Failed attempts have no fill and do not count.</p>"
        + _table(head, body, numbers=range(2, 8))
        + charts.histogram([row.slippage_bps or 0 for row in rows], "fills by slippage", "bps")
    )


def _trades(place: int, ledger: Ledger, grounds: Mapping[int, list[Record]]) -> str:
    sent = [row for row in ledger.rows if row.outcome not in REFUSED]
    shown = sent[:MOST_ROWS]
    body = [
        (
            _link(place, row.decision if row.decision in grounds else None, f"#{row.decision}"),
            utc(row.time)[:-4],
            row.side,
            row.dex,
            f'<span title="{escape(row.mint)}">{escape(row.mint[:6])}</span>',
            escape(row.reason),
            escape(row.outcome),
            f"{row.amount_in:,}",
            "" if row.expected is None else f"{row.expected:,}",
            "" if row.got is None else f"{row.got:,}",
            "" if row.slippage_bps is None else row.slippage_bps,
            sol(row.network + row.tip + row.rent),
            "" if row.net is None else sol(row.net),
            escape(row.basis),
        )
        for row in shown
    ]
    head = (
        *("explained", "time UTC", "side", "venue", "mint", "reason", "outcome", "in, raw", "expected", "got"),
        *("bps", "cost SOL", "net SOL", "priced on"),
    )
    note = "" if len(sent) == len(shown) else f'<p class="dim">The first {len(shown):,} of {len(sent):,}.</p>'
    table = _table(head, body, numbers=range(7, 13), raw=(0, 4, 5, 6, 13))
    return f'<h2>Trades</h2>{note}<div class="wide">{table}</div>'


def _settings(ledger: Ledger) -> str:
    """Parameters that somebody set."""
    body = [(key, value, origin) for key, (value, origin) in ledger.settings.items() if origin != "default"]
    return (
        "<h2>Parameters that are not defaults</h2>"
        f'<div class="wide set">{_table(("key", "value", "set by"), body)}</div>'
    )


def _explanations(place: int, name: str, ledger: Ledger, grounds: Mapping[int, list[Record]]) -> str:
    """The records behind each listed attempt, oldest first."""
    last = {row.refused: row.decision for row in ledger.rows if row.outcome in REFUSED}
    wanted = {row.decision for row in ledger.rows if row.outcome not in REFUSED} | set(last.values())
    parts = ["<h2>Explanations</h2>"]
    for row in ledger.rows:
        if row.decision not in wanted or row.decision not in grounds:
            continue
        text = "\n".join(
            line
            for record in grounds[row.decision]
            for line in (head_of(record), *(f"    {body}" for body in body_of(record)))
        )
        parts.append(
            f"<details><summary>#{row.decision} {escape(row.side)} {escape(row.mint[:6])} "
            f"{escape(row.outcome)} {escape(row.refused or row.reason)}</summary>"
            f'<pre id="r{place}d{row.decision}">{escape(text)}\n\nnext: ironcrab explain {escape(name)} '
            f"{row.decision}</pre></details>"
        )
    return "".join(parts)


def _link(place: int, decision: int | None, text: str) -> str:
    return escape(text) if decision is None else f'<a href="#r{place}d{decision}">{escape(text)}</a>'


def _table(
    head: Sequence[str], body: Iterable[Sequence[object]], numbers: Iterable[int] = (), raw: Iterable[int] = ()
) -> str:
    """A table; columns in `numbers` stand right, those in `raw` are HTML already."""
    right, html = tuple(numbers), tuple(raw)

    def cell(tag: str, at: int, value: object) -> str:
        text = f"{value:,}" if isinstance(value, int) else str(value)
        mark = ' class="n"' if at in right else ""
        return f"<{tag}{mark}>{text if tag == 'td' and at in html else escape(text)}</{tag}>"

    rows = "".join(f"<tr>{''.join(cell('td', at, value) for at, value in enumerate(row))}</tr>" for row in body)
    titles = "".join(cell("th", at, title) for at, title in enumerate(head))
    return f"<table><thead><tr>{titles}</tr></thead><tbody>{rows}</tbody></table>"
