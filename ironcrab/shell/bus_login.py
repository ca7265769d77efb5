"""Who a process is on the bus: where it is, a user with a password or the NATS credentials of one, whom to trust.

A file of credentials holds a JWT and a seed between lines of dashes; the server's challenge is signed with the seed.
Neither a password nor a seed is ever printed.
"""

import base64
import binascii
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from solders.keypair import Keypair

from ironcrab.domain.fault import InputFault

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----\s*(\S+)\s*-+END [A-Z ]+-+")
_JWT, _SEED = "NATS USER JWT", "USER NKEY SEED"
_SEED_BYTES = slice(2, 34)
"""Behind two bytes that say what it is of, before a checksum of two."""
_USER = re.compile(r"[A-Za-z0-9_-]+")
ONE_LINE = "login file {} must hold one line: user password, or NATS credentials"


class Login(Struct, frozen=True):
    """Where the bus is and who we are there.

    Attributes:
        url: nats://host:port, or tls://host:port.
        user: name; answers to this login come on `_INBOX.<user>`.
        password: of the user; "" with credentials.
        authorities: PEM of the certificate authorities to trust; None: the usual ones.
        jwt, seed: of credentials.
    """

    url: str
    user: str
    password: str = ""
    authorities: str | None = None
    jwt: str | None = None
    seed: bytes | None = None

    def __repr__(self) -> str:
        return f"Login({self.user} at {self.url})"

    def options(self) -> dict[str, Any]:
        """What the client is told of it. InputFault where the authorities are none."""
        told: dict[str, Any] = {"servers": [self.url], "inbox_prefix": f"_INBOX.{self.user}"}
        if self.url.startswith("tls://"):
            told["tls"] = _context(self.authorities)
            told["tls_hostname"] = urlsplit(self.url).hostname
        if self.jwt is None or self.seed is None:
            return {**told, "user": self.user, "password": self.password}
        jwt, sign = self.jwt.encode(), _signer(self.seed)
        return {**told, "user_jwt_cb": lambda: jwt, "signature_cb": sign}


def _signer(seed: bytes) -> Callable[[str], bytes]:
    pair = Keypair.from_seed(seed)
    return lambda nonce: base64.b64encode(bytes(pair.sign_message(nonce.encode())))


def _context(authorities: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cadata=authorities)
    except (ssl.SSLError, ValueError) as error:
        raise InputFault(f"--nats-ca holds no certificate ({error}); give the PEM of the server's authority") from error


def read_login(url: str, path: Path, authorities_file: Path | None = None) -> Login:
    """The login of a file with one line `user password`, or with NATS credentials.

    Raises:
        InputFault: the URL, the file or the authorities are none; without a word of what the file holds.
    """
    _look_at(url)
    authorities = None if authorities_file is None else _text(authorities_file, "authority file")
    if authorities is not None and not url.startswith("tls://"):
        raise InputFault(f"--nats-ca goes with tls://host:port, and the bus is {url}")
    text = _text(path, "login file")
    blocks = dict(_BLOCK.findall(text))
    if _JWT in blocks and _SEED in blocks:
        jwt = blocks[_JWT]
        return Login(url, _name_in(jwt, path), "", authorities, jwt, _seed_of(blocks[_SEED], path))
    words = text.split()
    if len(words) != 2 or not _USER.fullmatch(words[0]):
        raise InputFault(ONE_LINE.format(path))
    return Login(url, words[0], words[1], authorities)


def _look_at(url: str) -> None:
    parts = urlsplit(url)
    try:
        is_place = parts.scheme in ("nats", "tls") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_place = False
    if not is_place or parts.path.strip("/") or parts.query:
        raise InputFault(f"--nats {_bare(url)!r} is no place of a bus; write nats://host:port, or tls://host:port")
    if parts.username or parts.password:
        raise InputFault("--nats is host and port alone; user and password stand in a file: --login FILE")


def _bare(url: str) -> str:
    """The URL without what stands before an @."""
    return url.rpartition("@")[2]


def _text(path: Path, what: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text"
        raise InputFault(f"{what} {path} cannot be read: {reason}") from error


def _name_in(jwt: str, path: Path) -> str:
    """The user's name in the middle part of a JWT."""
    try:
        told = msgspec.json.decode(_decoded(base64.urlsafe_b64decode, jwt.split(".")[1], 4), type=dict[str, Any])
        name = str(told["name"])
    except (IndexError, KeyError, ValueError, msgspec.DecodeError) as error:
        raise InputFault(f"login file {path} holds a JWT that names no user; make the credentials anew") from error
    if not _USER.fullmatch(name):
        raise InputFault(f"login file {path} is of user {name!r}; a login's name is letters, digits, - and _")
    return name


def _seed_of(text: str, path: Path) -> bytes:
    try:
        seed = _decoded(base64.b32decode, text, 8)[_SEED_BYTES]
    except (binascii.Error, ValueError):
        seed = b""
    if len(seed) != _SEED_BYTES.stop - _SEED_BYTES.start:
        raise InputFault(f"login file {path} holds no seed of a user; make the credentials anew")
    return seed


def _decoded(decode: Callable[[str], bytes], text: str, group: int) -> bytes:
    return decode(text + "=" * (-len(text) % group))
