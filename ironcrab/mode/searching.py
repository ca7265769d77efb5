"""Search: a sweep whose rows are chosen one handful after another, by what the ones before came to in sample.

The chooser is optuna's TPE (extra `search`) over the same axes as a grid's. It is seeded and told results in the order
of the rows, and a handful is of the same size whatever the number of processes, so the same command gives the same
rows. Nothing of it is stored: an interrupted search is asked and told again from the lines in `<out>.partial`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ironcrab.domain.fault import InputFault
from ironcrab.mode.axes import Axis, Row
from ironcrab.mode.sweeping import Executor, Line, Partial, Plan, Search, alone, carry_out, fresh, tasks, write_table

HANDFUL = 8
"""Rows that are chosen before any of them is told."""
MOST_REPEATS = 20
"""So many times the rows wanted are asked for at most: a chooser that repeats itself has seen the grid."""


def extremes(axes: tuple[Axis, ...]) -> tuple[Row, ...]:
    """Rows that hold the first and the last value of each axis: judged before anything runs."""
    first = tuple((one.key, one.values[0]) for one in axes)
    return (
        first,
        *(
            tuple((key, axis.values[-1] if key == axis.key else value) for key, value in first)
            for axis in axes
            if len(axis.values) > 1
        ),
    )


def search(
    planned: Plan,
    wanted: Search,
    out: Path,
    jobs: int,
    progress: Callable[[int], None] | None = None,
    executor: Executor | None = None,
) -> tuple[Plan, list[Line]]:
    """Choose and run up to `wanted.rows` different rows, then write the table.

    Args:
        planned: the plan; its own rows are left aside.
        wanted: axes, how many rows, seed.
        out: the Parquet file to be, as of `sweep`.
        jobs: processes.
        progress: told how many lines stand.
        executor: as of `sweep`.

    Returns:
        The plan with the rows that were chosen, and the lines.

    Raises:
        InputFault: optuna is missing, or as of `sweep`.
        DiskFault: the disk refused.
    """
    chosen = _Chosen(wanted)
    planned = msgspec.structs.replace(planned, rows=(), search=wanted)
    with alone(fresh(out)) as path:
        partial = Partial(path, planned)
        found = {(line.row, line.on, line.part): line for line in partial.lines}
        while handful := chosen.handful():
            planned = msgspec.structs.replace(planned, rows=(*planned.rows, *handful))
            todo = list(tasks(planned, set(found), max(1, -(-len(handful) // jobs))))
            for lines in carry_out(planned, todo, jobs, partial, executor):
                found |= {(line.row, line.on, line.part): line for line in lines}
                if progress is not None:
                    progress(len(found))
            for row in range(len(planned.rows) - len(handful), len(planned.rows)):
                chosen.tell(row, sum(_worth(planned, found, row)))
        lines = sorted(found.values(), key=lambda line: (line.row, line.on, line.part))
        write_table(planned, lines, out)
        path.unlink()
    return planned, lines


def _worth(planned: Plan, found: dict[tuple[int, int, int], Line], row: int) -> Iterator[int]:
    """Realised lamports of each part that may be chosen by: all but those out of sample."""
    for on, parts in enumerate(planned.parts):
        for part, told in enumerate(parts):
            if told.sample != "out":
                yield found[row, on, part].result.pnl_lamports


class _Chosen:
    """The rows chosen so far and the chooser."""

    def __init__(self, wanted: Search) -> None:
        try:
            import optuna  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise InputFault("--adaptive needs optuna; install it: pip install 'ironcrab[search]'") from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.wanted = wanted
        self.study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=wanted.seed))
        self.spaces: dict[str, Any] = {}
        for axis in wanted.axes:
            places = len(axis.values)
            ordered = all(value.lstrip("-").isdigit() for value in axis.values)
            self.spaces[axis.key] = (
                optuna.distributions.IntDistribution(0, places - 1)
                if ordered
                else optuna.distributions.CategoricalDistribution(tuple(range(places)))
            )
        self.rows: dict[Row, int] = {}
        self.worth: list[int] = []
        self.open: dict[int, Any] = {}
        self.repeats: list[tuple[int, Any]] = []
        self.asked = 0

    def handful(self) -> list[Row]:
        """The next different rows; none left, or as many as wanted are chosen: []."""
        begun = len(self.rows)
        end = min(begun + HANDFUL, self.wanted.rows)
        while len(self.rows) < end and self.asked < self.wanted.rows * MOST_REPEATS:
            trial = self.study.ask(self.spaces)
            self.asked += 1
            row = tuple((axis.key, axis.values[trial.params[axis.key]]) for axis in self.wanted.axes)
            place = self.rows.setdefault(row, len(self.rows))
            if place < len(self.worth):
                self.study.tell(trial, float(self.worth[place]))
            elif place in self.open:
                self.repeats.append((place, trial))
            else:
                self.open[place] = trial
        return list(self.rows)[begun:]

    def tell(self, row: int, worth: int) -> None:
        """What the next row came to, lamports."""
        self.worth.append(worth)
        self.study.tell(self.open.pop(row), float(worth))
        for _, trial in [repeat for repeat in self.repeats if repeat[0] == row]:
            self.study.tell(trial, float(worth))
        self.repeats = [repeat for repeat in self.repeats if repeat[0] != row]
