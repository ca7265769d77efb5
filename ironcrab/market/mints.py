"""What is known of mints: owning token program, decimals, supply, authorities, and the creator's wallet."""

from collections.abc import Iterable

from msgspec import Struct, field

from ironcrab.domain.event import Event
from ironcrab.domain.market import DevWalletIdentified, TokenMintInfo
from ironcrab.domain.units import Bps, Key, Seq, Slot
from ironcrab.loop import Now
from ironcrab.market.bound import forget_oldest
from ironcrab.market.decimals import scaled

MOST_MINTS = 65_536
"""Mints remembered at most; beyond it those told longest ago are forgotten."""


class MintRow(Struct, frozen=True, gc=False):
    """One mint as its account said at record `seq`.

    Attributes:
        seq: the record that told it.
        token_program: program that owns the mint account.
        decimals: digits behind the point of a UI amount.
        supply: raw units.
        mint_authority: who may mint more; None: given up.
        freeze_authority: who may freeze accounts; None: given up.
        slot: slot of the account write; 0 where the event told none.
    """

    seq: Seq
    token_program: Key
    decimals: int
    supply: int
    mint_authority: Key | None
    freeze_authority: Key | None
    slot: Slot


class DevRow(Struct, frozen=True, gc=False):
    """The creator's wallet of a mint and its share of supply (bps; None: the text was no number)."""

    seq: Seq
    dev_wallet: Key
    supply_bps: Bps | None
    slot: Slot


class MintsState(Struct):
    """Everything `Mints` remembers, by mint."""

    rows: dict[str, MintRow] = field(default_factory=dict)
    devs: dict[str, DevRow] = field(default_factory=dict)


class Mints:
    """Reducer of mints. A row never goes back to an older slot; an event without slot counts as now."""

    name = "mints"
    wants: tuple[type[Event], ...] = (TokenMintInfo, DevWalletIdentified)

    def __init__(self, now: Now) -> None:
        self.now = now
        self.state = MintsState()

    def get(self, mint: str) -> MintRow | None:
        """What is known of this mint; None: nothing was told."""
        return self.state.rows.get(mint)

    def dev(self, mint: str) -> DevRow | None:
        """The creator's wallet of this mint; None: nothing was told."""
        return self.state.devs.get(mint)

    def step(self, seq: int, event: Event) -> Iterable[Event]:
        """Fold one word about a mint."""
        if isinstance(event, TokenMintInfo):
            self._mint(seq, event)
        elif isinstance(event, DevWalletIdentified):
            self._dev(seq, event)
        return ()

    def _mint(self, seq: int, event: TokenMintInfo) -> None:
        rows = self.state.rows
        slot = self.now.slot if event.slot is None else event.slot
        old = rows.get(event.mint)
        if old is not None and slot < old.slot:
            return
        rows[event.mint] = MintRow(
            seq,
            event.token_program,
            event.decimals,
            event.supply,
            event.mint_authority,
            event.freeze_authority,
            slot,
        )
        forget_oldest(rows, MOST_MINTS)

    def _dev(self, seq: int, event: DevWalletIdentified) -> None:
        devs = self.state.devs
        slot = self.now.slot if event.slot is None else event.slot
        old = devs.get(event.mint)
        if old is not None and slot < old.slot:
            return
        devs[event.mint] = DevRow(seq, event.dev_wallet, scaled(event.supply_percentage, 2), slot)
        forget_oldest(devs, MOST_MINTS)
