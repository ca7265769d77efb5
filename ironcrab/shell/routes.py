"""Ways to the leader: a node's RPC, or Jito bundles. All carry the same bytes; the first confirmation wins."""

from typing import Any, Literal, Protocol

from msgspec import Struct

from ironcrab.domain.fault import InputFault
from ironcrab.shell.rpc import Rpc, RpcFault

Receipt = Literal["taken", "refused", "unknown"]
"""`refused`: these bytes were certainly not taken. `unknown` is no refusal: they may land."""

CERTAIN = (-32003, -32006, -32013, -32600, -32601, -32602, 401, 403)
"""Codes with which a node says that it never looked at, or never will forward, these bytes."""
SETTLED = ("confirmed", "finalized")
BUNDLES = "/api/v1/bundles"


class Handed(Struct, frozen=True):
    """What a route said when the bytes were handed to it; a bundle route adds the bundle's id."""

    receipt: Receipt
    error: str | None = None
    bundle_id: str | None = None


class Route(Protocol):
    """One way to send. `method` is what SendAnswer says; `is_bundle`: only for plans that tip."""

    method: str
    is_bundle: bool

    async def hand(self, transaction: str, signature: str) -> Handed:
        """Submit these bytes (base64). Never raises: an answer is a receipt, not a landing."""
        ...

    async def has_landed(self, bundle_id: str) -> bool:
        """Whether the route itself knows that its bundle landed; False says nothing. Never raises."""
        ...


def refusal_of(fault: RpcFault) -> Handed:
    """What a fault says of the bytes: timeouts, limits and busy nodes say nothing."""
    if fault.kind == "refused" and fault.code == -32002 and _err(fault.data) == "AlreadyProcessed":
        return Handed("taken")
    certain = fault.kind == "refused" and fault.code in CERTAIN
    return Handed("refused" if certain else "unknown", str(fault))


class RpcRoute:
    """sendTransaction of one node, without preflight (we simulated ourselves) and without its own resending."""

    method = "rpc"
    is_bundle = False

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    async def hand(self, transaction: str, signature: str) -> Handed:
        """See Route. A node that answers with another signature took something else: that is no receipt."""
        try:
            told = await self.rpc.send(transaction)
        except RpcFault as fault:
            return refusal_of(fault)
        if told != signature:
            return Handed("unknown", f"node {self.rpc.name} answered with another signature; use another node")
        return Handed("taken")

    async def has_landed(self, bundle_id: str) -> bool:
        """A node knows no bundles."""
        del bundle_id
        return False


class BundleStatus(Struct, frozen=True):
    """A row of getBundleStatuses; the text says confirmationStatus, its sample confirmation_status: both are read."""

    bundle_id: str
    confirmation_status: str | None = None
    confirmationStatus: str | None = None  # noqa: N815 - the wire's other spelling


class BundleAnswer(Struct, frozen=True):
    """Result of getBundleStatuses."""

    value: list[BundleStatus | None]


class JitoRoute:
    """Bundles of one transaction over a block engine's JSON-RPC: it lands whole or not at all."""

    method = "jito"
    is_bundle = True

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc

    async def hand(self, transaction: str, signature: str) -> Handed:
        """See Route."""
        del signature
        try:
            bundle = await self.rpc.call("sendBundle", [[transaction], {"encoding": "base64"}], str, BUNDLES)
        except RpcFault as fault:
            return refusal_of(fault)
        return Handed("taken", None, bundle)

    async def has_landed(self, bundle_id: str) -> bool:
        """Whether the block engine says confirmed or finalized of it."""
        try:
            answer = await self.rpc.call("getBundleStatuses", [[bundle_id]], BundleAnswer, BUNDLES)
        except RpcFault:
            return False
        told = (row for row in answer.value if row is not None and row.bundle_id == bundle_id)
        return any((row.confirmation_status or row.confirmationStatus) in SETTLED for row in told)

    async def tip_accounts(self, configured: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The tip accounts as the block engine tells them, sorted.

        Raises:
            RpcFault: no answer.
            InputFault: they are not those of the configuration.
        """
        told = tuple(sorted(await self.rpc.call("getTipAccounts", [], list[str], BUNDLES)))
        if not told:
            raise InputFault(f"block engine {self.rpc.name} tells no tip accounts; bundles cannot be sent")
        if configured and told != tuple(sorted(configured)):
            other = ", ".join(sorted({*told} ^ {*configured}))
            raise InputFault(f"block engine {self.rpc.name} tells other tip accounts than configured: {other}")
        return told


def _err(data: Any) -> Any:
    return data.get("err") if isinstance(data, dict) else None
