"""Metaplex token metadata: what a token is called, in an account beside its mint.

Little-endian, packed (program metaqbxx.., MetadataV1): u8 key 4 at 0, update authority at 1, mint at 33, then three
texts, each u32 length and bytes: name, symbol, uri. The program fills them up with zeros (32, 10 and 200 bytes); who
writes shorter ones is read too. The account's address is that of the seeds "metadata", the program, the mint.
"""

from ironcrab.dex import base58
from ironcrab.dex.address import find_program_address
from ironcrab.dex.face import Account
from ironcrab.dex.mint import Metadata

PROGRAM = "metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s"
_KEY = 4
_TEXTS = 65
_LONGEST = (32, 10, 200)


def metadata_address(mint: str) -> str:
    """Where the metadata of a mint stands, if it has any."""
    return find_program_address((b"metadata", base58.decode(PROGRAM), base58.decode(mint)), PROGRAM)[0]


def decode_metadata(account: Account) -> Metadata | None:
    """The metadata in an account, None where it is none. Never raises."""
    data = account.data
    if account.owner != PROGRAM or len(data) < _TEXTS or data[0] != _KEY:
        return None
    texts, at = [], _TEXTS
    for longest in _LONGEST:
        size = int.from_bytes(data[at : at + 4], "little")
        if size > longest or at + 4 + size > len(data):
            return None
        texts.append(data[at + 4 : at + 4 + size].decode("utf-8", "replace").rstrip("\0"))
        at += 4 + size
    authority = data[1:33]
    name, symbol, uri = texts
    return Metadata(base58.key(authority) if any(authority) else None, base58.key(data[33:65]), name, symbol, uri)
