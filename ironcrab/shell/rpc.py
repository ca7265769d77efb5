"""A client of a node's JSON-RPC. Only outlets and the cold path use it; no reducer waits for it.

Every answer is decoded into a typed Struct (fields we do not know are ignored, so a newer node does no harm) or
becomes a fault of one sentence, which says what kind of no it was: that decides what may be concluded from it.
"""

import base64
from types import TracebackType
from typing import Annotated, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from msgspec import Meta, Struct

from ironcrab.domain.fault import Fault

T = TypeVar("T")
U63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""Lamports, heights, prices: no honest node tells more (all lamports there are need 60 bits)."""
Slot = Annotated[int, Meta(ge=0, le=2**62)]
Commitment = Literal["processed", "confirmed", "finalized"]
TIMEOUT_S = 5.0
MOST_ANSWER = 64 * 2**20
"""Bytes of the longest answer that is read."""
Kind = Literal["refused", "limited", "unreachable", "nonsense"]


class RpcFault(Fault):
    """A node did not give the answer.

    Attributes:
        kind: `refused` (the node said no, `code` and `data` say why), `limited` (429: ask later), `unreachable`
            (timeout, no connection, 5xx: whether the request was taken is unknown), `nonsense` (no such answer).
        code: JSON-RPC or HTTP code; 0 where there is none.
        data: what the node added.
    """

    def __init__(self, text: str, kind: Kind, code: int = 0, data: Any = None) -> None:
        super().__init__(text)
        self.kind = kind
        self.code = code
        self.data = data


class Context(Struct, frozen=True):
    """The slot an answer is of."""

    slot: Slot


class LatestHash(Struct, frozen=True, rename="camel"):
    """A blockhash and the last block height at which it is valid."""

    blockhash: str
    last_valid_block_height: U63


class LatestHashAnswer(Struct, frozen=True):
    """Result of getLatestBlockhash."""

    context: Context
    value: LatestHash


class RpcAccount(Struct, frozen=True):
    """An account in base64."""

    lamports: U63
    owner: str
    data: tuple[str, str]
    executable: bool = False

    def raw(self) -> bytes:
        """The data; RpcFault where it is no base64."""
        try:
            return base64.b64decode(self.data[0], validate=True)
        except ValueError as error:
            raise RpcFault("a node sent account data that is no base64; use another node", "nonsense") from error


class AccountsAnswer(Struct, frozen=True):
    """Result of getMultipleAccounts."""

    context: Context
    value: list[RpcAccount | None]


class OwnedAccount(Struct, frozen=True):
    """A row of getTokenAccountsByOwner or getProgramAccounts."""

    pubkey: str
    account: RpcAccount


class OwnedAnswer(Struct, frozen=True):
    """Result of getTokenAccountsByOwner."""

    context: Context
    value: list[OwnedAccount]


class Status(Struct, frozen=True, rename="camel"):
    """How far a transaction is; `err` None: it succeeded."""

    slot: Slot
    err: Any = None
    confirmation_status: Commitment | None = None


class StatusesAnswer(Struct, frozen=True):
    """Result of getSignatureStatuses: null is "not seen", never "failed"."""

    context: Context
    value: list[Status | None]


class UiAmount(Struct, frozen=True):
    """A token amount in raw units, as decimal digits."""

    amount: str
    decimals: Annotated[int, Meta(ge=0, le=255)]


class BalanceRow(Struct, frozen=True, rename="camel"):
    """A token balance of a transaction's meta; old nodes leave the owner out."""

    account_index: Annotated[int, Meta(ge=0, lt=256)]
    mint: str
    ui_token_amount: UiAmount
    owner: str | None = None


class LoadedAddresses(Struct, frozen=True):
    """Keys that lookup tables added."""

    writable: list[str] = []
    readonly: list[str] = []


class Simulation(Struct, frozen=True, rename="camel"):
    """Value of simulateTransaction; what an older node leaves out is None: unknown."""

    err: Any = None
    logs: list[str] | None = None
    units_consumed: U63 | None = None
    accounts: list[RpcAccount | None] | None = None
    pre_balances: list[U63] | None = None
    post_balances: list[U63] | None = None
    pre_token_balances: list[BalanceRow] | None = None
    post_token_balances: list[BalanceRow] | None = None
    fee: U63 | None = None
    loaded_addresses: LoadedAddresses | None = None


class SimulationAnswer(Struct, frozen=True):
    """Result of simulateTransaction."""

    context: Context
    value: Simulation


class TransactionMeta(Struct, frozen=True, rename="camel"):
    """What a landed transaction did."""

    fee: U63
    pre_balances: list[U63]
    post_balances: list[U63]
    err: Any = None
    pre_token_balances: list[BalanceRow] | None = None
    post_token_balances: list[BalanceRow] | None = None
    loaded_addresses: LoadedAddresses | None = None
    compute_units_consumed: U63 | None = None


class LandedTransaction(Struct, frozen=True, rename="camel"):
    """Result of getTransaction in base64."""

    slot: Slot
    transaction: tuple[str, str]
    meta: TransactionMeta | None = None
    block_time: int | None = None


class SignatureRow(Struct, frozen=True):
    """A row of getSignaturesForAddress."""

    signature: str
    slot: Slot
    err: Any = None


class PriorityFee(Struct, frozen=True, rename="camel"):
    """A row of getRecentPrioritizationFees: the least price that landed in a slot."""

    slot: Slot
    prioritization_fee: U63


class _Error(Struct, frozen=True):
    code: int
    message: str = ""
    data: Any = None


class _Answer(Struct, frozen=True):
    id: Any = None
    result: msgspec.Raw = msgspec.Raw(b"")
    error: _Error | None = None


class Rpc:
    """One node. `async with Rpc(url) as rpc`, then `await rpc.call(...)` or one of the named calls.

    Args:
        url: http or https address; it may hold an access token and is therefore never printed.
        timeout_s: seconds until a silent node counts as unreachable.
        headers: sent with each request (access tokens).
    """

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, headers: dict[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RpcFault(f"an endpoint with scheme {parts.scheme[:20]!r} is no http or https address", "refused")
        self.name = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self.timeout_s = timeout_s
        self._url = url
        self._headers = {"Content-Type": "application/json", **(headers or {})}
        self._session: aiohttp.ClientSession | None = None
        self._count = 0
        hidden = (*parts.path.split("/"), *parts.query.replace("&", "=").split("="), *(headers or {}).values())
        self._hidden = tuple(text for text in hidden if len(text) >= 8)

    def __repr__(self) -> str:
        return f"Rpc({self.name})"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=self.timeout_s))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, method: str, params: list[Any], kind: type[T], path: str = "") -> T:
        """The result of a method as `kind`.

        Raises:
            RpcFault: no answer of that kind.
        """
        self._count += 1
        number = self._count
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        status, raw = await self._post(method, body, path)
        answer = self._decoded(method, status, raw)
        if answer.error is not None:
            error = answer.error
            limited = status == 429 or error.code in (429, -32429, -32097)
            text = f"node {self.name} refuses {method} with {error.code}: {_short(self._without_tokens(error.message))}"
            raise RpcFault(text, "limited" if limited else "refused", error.code, error.data)
        if status != 200:
            raise self._http_fault(method, status)
        if answer.id != number:
            raise RpcFault(f"node {self.name} answered another request than {method}; use another node", "nonsense")
        try:
            return msgspec.json.decode(answer.result, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            text = f"node {self.name} answered {method} with nonsense ({_short(str(error))}); use another node"
            raise RpcFault(text, "nonsense") from None

    async def _post(self, method: str, body: bytes, path: str) -> tuple[int, bytes]:
        if self._session is None:
            raise RpcFault(f"the connection to {self.name} is closed; {method} was not asked", "unreachable")
        try:
            async with self._session.post(self._url + path, data=body, headers=self._headers) as response:
                raw = bytearray()
                async for chunk in response.content.iter_chunked(2**16):
                    raw += chunk
                    if len(raw) > MOST_ANSWER:
                        raise RpcFault(f"node {self.name} answered {method} with more than 64 MB", "nonsense")
                return response.status, bytes(raw)
        except TimeoutError:
            text = f"node {self.name} did not answer {method} within {self.timeout_s:g} s"
            raise RpcFault(text, "unreachable") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # the error's own text may name the whole address, token and all
            text = f"node {self.name} cannot be reached for {method} ({type(error).__name__}); check the endpoint"
            raise RpcFault(text, "unreachable") from None

    def _without_tokens(self, text: str) -> str:
        """A node's own words, without what of our address they may repeat."""
        for hidden in self._hidden:
            text = text.replace(hidden, "***")
        return text

    def _decoded(self, method: str, status: int, raw: bytes) -> _Answer:
        try:
            return msgspec.json.decode(raw, type=_Answer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if status != 200:
                raise self._http_fault(method, status) from None
            text = f"node {self.name} answered {method} with bytes that are no JSON-RPC; use another node"
            raise RpcFault(text, "nonsense") from None

    def _http_fault(self, method: str, status: int) -> RpcFault:
        if status == 429:
            return RpcFault(f"node {self.name} limits the rate of {method} (HTTP 429); wait", "limited", 429)
        if status in (401, 403):
            return RpcFault(f"node {self.name} refuses our token (HTTP {status}); check it", "refused", status)
        return RpcFault(f"node {self.name} answered {method} with HTTP {status}", "unreachable", status)

    # the methods that we ask

    async def latest_blockhash(self, commitment: Commitment = "confirmed") -> LatestHashAnswer:
        """Newest blockhash with its last valid height."""
        return await self.call("getLatestBlockhash", [{"commitment": commitment}], LatestHashAnswer)

    async def block_height(self, commitment: Commitment) -> int:
        """Height of the newest block of a commitment."""
        return await self.call("getBlockHeight", [{"commitment": commitment}], U63)

    async def slot(self, commitment: Commitment) -> int:
        """Newest slot of a commitment."""
        return await self.call("getSlot", [{"commitment": commitment}], Slot)

    async def accounts(self, keys: list[str], commitment: Commitment, least_slot: int | None = None) -> AccountsAnswer:
        """Up to 100 accounts of one slot; None for one that does not exist."""
        config: dict[str, Any] = {"encoding": "base64", "commitment": commitment}
        if least_slot is not None:
            config["minContextSlot"] = least_slot
        answer = await self.call("getMultipleAccounts", [keys, config], AccountsAnswer)
        if len(answer.value) != len(keys):
            text = f"node {self.name} told {len(answer.value)} of {len(keys)} accounts; use another node"
            raise RpcFault(text, "nonsense")
        return answer

    async def token_accounts(self, owner: str, program: str, commitment: Commitment) -> OwnedAnswer:
        """Token accounts of an owner under one token program."""
        config = {"encoding": "base64", "commitment": commitment}
        return await self.call("getTokenAccountsByOwner", [owner, {"programId": program}, config], OwnedAnswer)

    async def program_accounts(
        self, program: str, commitment: Commitment, least_slot: int | None = None
    ) -> OwnedAnswer:
        """Every account that a program owns, of one slot. Many nodes refuse this for programs that own many."""
        config: dict[str, Any] = {"encoding": "base64", "commitment": commitment, "withContext": True}
        if least_slot is not None:
            config["minContextSlot"] = least_slot
        return await self.call("getProgramAccounts", [program, config], OwnedAnswer)

    async def signatures(self, key: str, before: str | None = None) -> list[SignatureRow]:
        """Up to 1,000 confirmed transactions that named an account, newest first, those behind `before`."""
        config: dict[str, Any] = {"commitment": "confirmed", "limit": 1000}
        if before is not None:
            config["before"] = before
        return await self.call("getSignaturesForAddress", [key, config], list[SignatureRow])

    async def blocks(self, first: int, last: int) -> list[int]:
        """The slots of a span that have a confirmed block."""
        return await self.call("getBlocks", [first, last, {"commitment": "confirmed"}], list[Slot])

    async def statuses(self, signatures: list[str], *, history: bool = False) -> StatusesAnswer:
        """Statuses of up to 256 signatures; `history`: search all of it, not only the recent slots."""
        params = [signatures, {"searchTransactionHistory": history}]
        answer = await self.call("getSignatureStatuses", params, StatusesAnswer)
        if len(answer.value) != len(signatures):
            text = f"node {self.name} told {len(answer.value)} of {len(signatures)} statuses; use another node"
            raise RpcFault(text, "nonsense")
        return answer

    async def transaction(self, signature: str, commitment: Commitment) -> LandedTransaction | None:
        """A landed transaction with its meta, None where this node does not have it (yet)."""
        config = {"encoding": "base64", "commitment": commitment, "maxSupportedTransactionVersion": 1}
        kind: Any = LandedTransaction | None
        found: LandedTransaction | None = await self.call("getTransaction", [signature, config], kind)
        return found

    async def simulate(self, raw: bytes, accounts: list[str], least_slot: int | None = None) -> SimulationAnswer:
        """Simulate at processed with the newest blockhash; the accounts are told as they stand afterwards."""
        config: dict[str, Any] = {
            "encoding": "base64",
            "commitment": "processed",
            "sigVerify": False,
            "replaceRecentBlockhash": True,
        }
        if accounts:
            config["accounts"] = {"encoding": "base64", "addresses": accounts}
        if least_slot is not None:
            config["minContextSlot"] = least_slot
        return await self.call("simulateTransaction", [base64.b64encode(raw).decode(), config], SimulationAnswer)

    async def send(self, text: str) -> str:
        """Submit a transaction (base64) without preflight and without the node's own resending."""
        config = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        return await self.call("sendTransaction", [text, config], str)

    async def priority_fees(self, keys: list[str]) -> list[PriorityFee]:
        """Least landed prices of recent slots for transactions that write these keys (at most 128)."""
        return await self.call("getRecentPrioritizationFees", [keys], list[PriorityFee])


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else f"{line[:160]}..."
