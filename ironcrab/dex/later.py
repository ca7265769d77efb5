"""Accounts as a swap leaves them, made when somebody first looks: a quote alone does not pay for them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ironcrab.dex.face import Account


class Later(Mapping[str, Account]):
    """A mapping of addresses to accounts that `work(*told)` makes at the first look."""

    __slots__ = ("_made", "_told", "_work")

    def __init__(self, work: Callable[..., Mapping[str, Account]], told: tuple[Any, ...] = ()) -> None:
        self._work = work
        self._told = told
        self._made: Mapping[str, Account] | None = None

    def __getitem__(self, address: str) -> Account:
        return self._accounts()[address]

    def __iter__(self) -> Iterator[str]:
        return iter(self._accounts())

    def __len__(self) -> int:
        return len(self._accounts())

    def __ror__(self, others: Mapping[str, Account]) -> dict[str, Account]:
        """`accounts | quote.after`: the accounts after the swap."""
        return {**others, **self._accounts()}

    def __repr__(self) -> str:
        return repr(self._accounts())

    def _accounts(self) -> Mapping[str, Account]:
        if self._made is None:
            self._made = self._work(*self._told)
        return self._made
