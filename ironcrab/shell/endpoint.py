"""Where a feed is and what is wanted of it: endpoint, token, TLS; and the subscription that follows from the wants."""

import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import Struct

from ironcrab.domain.fault import InputFault
from ironcrab.ingest.proto import geyser_pb2 as wire


class Endpoint(Struct, frozen=True):
    """A Yellowstone endpoint.

    Attributes:
        target: host:port.
        tls: encrypted or plaintext.
        token: what the endpoint's vendor gave; None: none is sent.
        token_name: metadata key that carries it.
        authorities: PEM of the certificate authorities to trust; None: the usual ones.
    """

    target: str
    tls: bool
    token: str | None = None
    token_name: str = "x-token"  # noqa: S105 - the name of the metadata key, not a token
    authorities: bytes | None = None

    def __repr__(self) -> str:
        """Without the token: it is never printed."""
        return f"Endpoint({self.target}, {'TLS' if self.tls else 'plaintext'})"


class Wanted(Struct, frozen=True):
    """What a subscription is to tell. Slots (interslot too) and block metas always come.

    Attributes:
        programs: transactions that name one of them, neither failed nor votes; base58.
        owners: writes of accounts that these programs own; base58.
        accounts: writes of these accounts, base58.
    """

    programs: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()


def endpoint(url: str, token_file: Path | None = None, authorities_file: Path | None = None) -> Endpoint:
    """The endpoint at `https://host[:port]` (TLS) or `http://host[:port]` (plaintext).

    Raises:
        InputFault: no such URL, or a file that cannot be read or is empty.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise InputFault(f"endpoint {url!r}: {error}; write it as https://host:port") from error
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise InputFault(f"endpoint {url!r} is no URL; write it as https://host:port, or http://host:port without TLS")
    if parts.username or parts.password or parts.query or parts.path.strip("/"):
        raise InputFault("an endpoint is host and port alone; a token stands in a file: --token-file FILE")
    tls = parts.scheme == "https"
    token = None if token_file is None else read_token(token_file)
    authorities = None if authorities_file is None else _authorities(authorities_file)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Endpoint(f"{host}:{port or (443 if tls else 80)}", tls, token, authorities=authorities)


def endpoints(
    urls: Sequence[str], token_files: Sequence[Path] = (), authorities_file: Path | None = None
) -> tuple[Endpoint, ...]:
    """Several endpoints, each with its own token file (`-`: none), or all without. InputFault."""
    if len(set(urls)) != len(urls):
        raise InputFault("the same --endpoint stands there twice; name each once")
    if len(token_files) not in (0, len(urls)):
        raise InputFault(
            f"{len(urls)} --endpoint and {len(token_files)} --token-file: give each its own, in order (- for none)"
        )
    files = [None if str(file) == "-" else file for file in token_files] or [None] * len(urls)
    return tuple(endpoint(url, file, authorities_file) for url, file in zip(urls, files, strict=True))


def read_token(path: Path) -> str:
    """The token in a file. InputFault where it holds none."""
    token = _content(path).decode("utf-8", "replace").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise InputFault(f"token file {path} holds no token; put the token of the endpoint there, on one line")
    return token


def _authorities(path: Path) -> bytes:
    content = _content(path)
    try:
        ssl.create_default_context(cadata=content.decode("ascii", "replace"))
    except ssl.SSLError as error:
        raise InputFault(f"{path} holds no certificate; --ca-file wants the authority's, PEM") from error
    return content


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputFault(f"cannot read {path}: {error.strerror}; is it the file you meant?") from error


def request_of(wanted: Wanted, from_slot: int | None = None) -> wire.SubscribeRequest:
    """The subscription; `from_slot` belongs into the first request of a connection only."""
    request = wire.SubscribeRequest(commitment=wire.PROCESSED)
    request.slots["slots"].interslot_updates = True
    request.blocks_meta["metas"].SetInParent()
    if wanted.programs:
        trades = request.transactions["trades"]
        trades.vote, trades.failed = False, False
        trades.account_include.extend(wanted.programs)
    _put(request, "owners", owners=wanted.owners)
    _put(request, "tracked", keys=wanted.accounts)
    if from_slot is not None:
        request.from_slot = from_slot
    return request


def _put(request: wire.SubscribeRequest, name: str, owners: Sequence[str] = (), keys: Sequence[str] = ()) -> None:
    """An account filter, unless it would be empty: an empty one means every account there is."""
    if owners or keys:
        request.accounts[name].owner.extend(owners)
        request.accounts[name].account.extend(keys)
