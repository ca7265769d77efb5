"""The signing key. The only module that loads one, and only the execution engine's shell calls it.

The key comes from a file that its owner alone may read, in the form `solana-keygen` writes (64 numbers: 32 secret,
32 public). It never comes from the environment, is never printed, and a process that holds one leaves no core dump.
"""

import base64
import ctypes
import os
import resource
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from ironcrab.dex import base58
from ironcrab.domain.fault import InputFault

KEY_BYTES = 64
KEY_VARIABLES = ("IRONCRAB_KEYPAIR_JSON", "IRONCRAB_KEYPAIR_B64", "IRONCRAB_KEYPAIR_PATH", "IRONCRAB_KEYPAIR_BASE58")
"""Names under which the original system looked for a key (invariant I-3)."""
_PR_SET_DUMPABLE = 4
_MOST_FILE = 4096


class Wallet:
    """Signs. Holds the key where no attribute, text or pickle shows it.

    Attributes:
        address: base58 public key.
    """

    __slots__ = ("_sign", "address")

    def __init__(self, address: str, sign: Callable[[bytes], bytes]) -> None:
        self.address = address
        self._sign = sign

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature of these bytes; the same bytes give the same signature."""
        return self._sign(message)

    def __repr__(self) -> str:
        return f"Wallet({self.address})"

    def __reduce__(self) -> str:
        raise InputFault(f"the key of {self.address} is not to be copied out of its process")


def load_wallet(path: Path) -> Wallet:
    """The wallet of a key file; from here on the process dumps no core.

    Raises:
        InputFault: the file is not there, not the user's own, open to others, or holds no key.
    """
    _never_dump()
    return wallet_of(_read_owned(path), str(path))


def wallet_of(text: bytes, where: str) -> Wallet:
    """The wallet of a key file's text; InputFault without a word of the text where it is none."""
    keypair = _keypair(text)
    if keypair is None:
        raise InputFault(f"key file {where} does not hold 64 numbers whose public half belongs to the secret one")

    def sign(message: bytes) -> bytes:
        return bytes(keypair.sign_message(message))

    return Wallet(str(keypair.pubkey()), sign)


def refuse_if_key_in_reach(environment: Mapping[str, str], process: str) -> None:
    """A process that is not the signer must not even see a key: one under a known name, or a key by its value.

    Raises:
        InputFault: naming the variable, never its value.
    """
    for name, value in environment.items():
        if name in KEY_VARIABLES or _is_key(value):
            raise InputFault(
                f"{process} refuses to start: the environment variable {name} puts a signing key within its reach; "
                f"unset it, only the execution engine may hold a key and it reads it from a file"
            )


def _read_owned(path: Path) -> bytes:
    """A file's bytes, if it is ours and ours alone; asked of the open file, so that nobody changes it in between."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a pipe would wait for a writer
    except OSError as error:
        raise InputFault(f"key file {path} cannot be read: {error.strerror}") from None
    try:
        told = os.fstat(handle)
        mode = stat.S_IMODE(told.st_mode)
        if not stat.S_ISREG(told.st_mode):
            raise InputFault(f"key file {path} is no regular file")
        if told.st_uid != os.geteuid():
            raise InputFault(f"key file {path} belongs to user {told.st_uid}, not to the user {os.geteuid()} of ours")
        if mode & 0o077:
            raise InputFault(f"key file {path} has mode {mode:04o}, others may reach it; run: chmod 600 {path}")
        return os.read(handle, _MOST_FILE)
    finally:
        os.close(handle)


def _keypair(text: bytes) -> Keypair | None:
    try:
        raw = bytes(msgspec.json.decode(text, type=list[int]))
        return Keypair.from_bytes(raw) if len(raw) == KEY_BYTES else None
    except (msgspec.DecodeError, ValueError, OverflowError):
        return None


def _is_key(value: str) -> bool:
    """Whether a text is a key, as 64 numbers, base58, base64 or hex, whose two halves belong together."""
    text = value.strip().strip("\"'")
    if text.startswith("["):
        return _keypair(text.encode(errors="replace")) is not None
    return any(_is_pair(decode, text) for decode in _FORMS if len(text) in range(86, 129))


_FORMS: tuple[Callable[[str], bytes], ...] = (base58.decode, base64.b64decode, base64.urlsafe_b64decode, bytes.fromhex)


def _is_pair(decode: Callable[[str], bytes], text: str) -> bool:
    try:
        raw = decode(text)
        return len(raw) == KEY_BYTES and Keypair.from_bytes(raw).pubkey() == Pubkey.from_bytes(raw[32:])
    except ValueError:
        return False


def _never_dump() -> None:
    """No core file, and on Linux no reading of our memory by other processes of the user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
