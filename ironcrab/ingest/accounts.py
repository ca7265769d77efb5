"""What an account write tells beside its bytes: a mint, and what a token is called."""

from ironcrab.dex import metaplex
from ironcrab.dex.address import TOKEN_PROGRAMS
from ironcrab.dex.face import Account
from ironcrab.dex.mint import Metadata, Mint, decode_mint
from ironcrab.domain.event import Event
from ironcrab.domain.market import AccountWritten, TokenMetadata
from ironcrab.ingest.mints import info_of


def told_by(written: AccountWritten) -> list[Event]:
    """The write, then what it says of a mint and of its name.

    A name counts only where it is the mint's own: in a Token-2022 mint the entry that names that mint, of Metaplex any
    account of the program (it makes them at the address of their mint alone).
    """
    said: list[Event] = [written]
    owner, key = written.owner, written.pubkey
    if owner in TOKEN_PROGRAMS:
        mint = decode_mint(Account(owner, written.lamports, written.data))
        if isinstance(mint, Mint):
            said.append(info_of(key, mint, mint.extensions, written.slot, written.source))
            if mint.metadata is not None and mint.metadata.mint == key:
                said.append(_named(mint.metadata, written))
    elif owner == metaplex.PROGRAM:
        told = metaplex.decode_metadata(Account(owner, written.lamports, written.data))
        if told is not None:
            said.append(_named(told, written))
    return said


def _named(told: Metadata, written: AccountWritten) -> TokenMetadata:
    return TokenMetadata(
        mint=told.mint,
        name=told.name,
        symbol=told.symbol,
        uri=told.uri,
        account=written.pubkey,
        update_authority=told.update_authority,
        slot=written.slot,
        source=written.source,
    )
