"""What the world says about the market: the MarketEvents of the wire contract, and what the design adds.

Field names are the wire contract's, so that export and import are copies. A trailing field marked `omit` is
ours: it is in the log and never on the wire. `event_id` stands only in imported records; of our own records it
is an address that `event_id_of` derives.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from ironcrab.domain.units import (
    I32,
    I64,
    SOL_MINT,
    U8,
    U16,
    U32,
    U64,
    DecimalText,
    FloatText,
    Key,
    Lamports,
    Raw,
    Signature,
    Slot,
    Word,
)

Omit = Meta(extra={"wire": "omit"})
Null = Meta(extra={"wire": "null"})


class PoolCreated(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A new pool. `initial_liquidity_sol`: SOL (not lamports) on the quote side, decimal text, None unknown."""

    pool_address: Key
    base_mint: Key
    quote_mint: Key
    dex: Word
    initial_liquidity_sol: Annotated[DecimalText | None, Null] = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None
    signature: Annotated[Signature | None, Omit] = None
    index: Annotated[U32 | None, Omit] = None
    position: Annotated[U32 | None, Omit] = None
    creator: Annotated[Key | None, Omit] = None


class DexPoolAccounts(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The accounts a swap on this pool names, in the venue's order (PumpSwap: 14, accounts[0] is the pool)."""

    dex: Word
    pool_address: Key
    base_mint: Key
    quote_mint: Key
    accounts: tuple[str, ...]
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class Trade(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """One swap on one pool.

    `sol_amount` (raw units of `quote_mint`: lamports when that is WSOL) and `token_amount` (raw units of `mint`)
    are what entered and left the pool's own reserves. `is_buy`: the quote side came in. `index` is the
    transaction's place in its block, `position` the call's place in its transaction. Fees are raw units of the
    side the venue takes them from, None where the venue's event does not tell.
    """

    pool_address: Key
    mint: Key
    trader: Key
    is_buy: bool
    sol_amount: U64
    token_amount: Raw
    token_decimals: U8
    dex: Word
    quote_mint: Key = SOL_MINT
    signature: Annotated[Signature | None, Null] = None
    creator: Key | None = None
    token_program: Key | None = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None
    index: Annotated[U32 | None, Omit] = None
    position: Annotated[U32 | None, Omit] = None
    lp_fee: Annotated[U64 | None, Omit] = None
    protocol_fee: Annotated[U64 | None, Omit] = None
    creator_fee: Annotated[U64 | None, Omit] = None


class ExplicitAmount(Struct, frozen=True, gc=False):
    """Raw units with their decimals; `ui` is a convenience text for readers and never decides."""

    raw: U64
    decimals: U8
    ui: DecimalText | None = None


class SwapObserved(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Legacy form of a trade; `side` is "buy" or "sell" in lower case."""

    pool_address: Key
    signature: Signature
    side: Word
    amount_in: ExplicitAmount
    amount_out: ExplicitAmount
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class PriceUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A price told by a source, decimal text; carried for the record, never decided on."""

    pool_address: Key
    base_mint: Key
    quote_mint: Key
    price: DecimalText
    liquidity_sol: Annotated[DecimalText | None, Null] = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class LiquidityRemoved(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Liquidity left a pool: lamports (raw quote units) and raw token units."""

    pool_address: Key
    mint: Key
    sol_amount: Lamports
    token_amount: Raw
    signature: Annotated[Signature | None, Null] = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None
    index: Annotated[U32 | None, Omit] = None
    position: Annotated[U32 | None, Omit] = None


class DevWalletIdentified(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The creator's wallet of a mint and its share of supply in percent (0..100)."""

    mint: Key
    dev_wallet: Key
    supply_percentage: FloatText
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class TokenMintInfo(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A mint as its account says: owning token program, decimals, supply, authorities (None: given up)."""

    mint: Key
    token_program: Key
    decimals: U8
    supply: U64
    mint_authority: Annotated[Key | None, Null] = None
    freeze_authority: Annotated[Key | None, Null] = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None
    extensions: Annotated[tuple[str, ...], Omit] = ()


class TokenMetadata(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """What a token is called. The texts are the issuer's: anybody may choose any of them; escape before display.

    Attributes:
        mint: the token.
        name, symbol, uri: without the zeros that fill up the account.
        account: where it stands: the mint itself (Token-2022) or its Metaplex account.
        update_authority: who may change it; None: nobody.
        slot: of the write.
    """

    mint: Key
    name: str
    symbol: str
    uri: str
    account: Key
    update_authority: Key | None = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class SlotUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The chain moved.

    `status`: created, processed, confirmed, finalized or dead; `parent` where the feed tells it.
    """

    current_slot: Slot
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None
    status: Annotated[Word, Omit] = "processed"
    parent: Annotated[Slot | None, Omit] = None


class PoolStateUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Reserves of a pool in raw units after a write in `update_slot`; active_id and bin_step for DLMM only."""

    pool_address: Key
    dex: Word
    reserve_base: U64
    reserve_quote: U64
    base_mint: Key
    quote_mint: Key
    update_slot: Slot
    active_id: I32 | None = None
    bin_step: U16 | None = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class BinData(Struct, frozen=True, gc=False):
    """One bin: offset 0..69 in its array, raw amounts of both sides."""

    offset: U8
    amount_x: U64
    amount_y: U64


class BinArrayUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The non-empty bins of one DLMM bin array."""

    pool_address: Key
    bin_array_index: I64
    bins: tuple[BinData, ...]
    update_slot: Slot
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class AccountUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """An account write, without its bytes."""

    pubkey: Key
    owner: Key
    data_len: U64
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class AccountWritten(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """An account write that exact quoting needs, whole: owner, lamports, data (base64 in a line, bytes in a column).

    `write_version` orders writes within one connection; `index` is the transaction's place in its block where known.
    """

    pubkey: Key
    owner: Key
    lamports: Lamports
    data: bytes
    slot: Slot | None = None
    write_version: U64 = 0
    signature: Signature | None = None
    source: Word = "geyser"
    event_id: str | None = None


class TransactionDetected(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A transaction that names a program we watch."""

    signature: Signature
    program: Key
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class WalletBalanceSnapshot(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A balance of the own wallet; mint NATIVE_SOL carries native lamports, the SOL mint carries WSOL."""

    mint: Key
    balance_raw: Raw
    decimals: U8
    token_program: Key
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class WalletSnapshotComplete(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """All mints the wallet holds have been told."""

    wallet: Key
    mints_in_wallet: tuple[str, ...]
    is_periodic: bool = False
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class WalletActivity(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A watched wallet did something; `wallet_win_rate` 0..1."""

    wallet: Key
    wallet_type: Word
    action: Word
    mint: Key
    amount_sol: Lamports
    amount_tokens: Raw
    signature: Signature
    wallet_win_rate: Annotated[FloatText | None, Null] = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class EarlyBuyerDetected(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """One of the first buyers of a mint; rank 1 is the first."""

    mint: Key
    buyer_wallet: Key
    buy_slot: Slot
    slots_after_creation: U64
    amount_sol: Lamports
    amount_tokens: Raw
    buyer_rank: U32
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class InsiderAlert(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A pattern of wallets worth a warning; `severity` Info, Warning or Critical."""

    mint: Key
    alert_type: Word
    wallets_involved: tuple[str, ...]
    description: str
    severity: Word
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class BondingCurveProgress(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """How far a PumpFun curve is sold, 0..10,000 bps."""

    mint: Key
    bonding_curve: Key
    progress_bps: U32
    complete: bool
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class LatestBlockhash(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Block meta of a processed slot: blockhash, height, time (unix seconds), parent."""

    blockhash: str
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None
    block_height: Annotated[U64 | None, Omit] = None
    block_time: Annotated[I64 | None, Omit] = None
    parent_slot: Annotated[Slot | None, Omit] = None


class WalletTxConfirmed(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A transaction of the own wallet reached the wanted commitment; `err` None is success."""

    wallet: Key
    signature: Signature
    err: Annotated[str | None, Null] = None
    slot: Slot | None = None
    source: Word = "geyser"
    event_id: str | None = None


class PoolCacheUpdate(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """A row of the pool cache as the wire contract copies it between processes (contract section 1.9)."""

    update_type: Literal["POOL_DISCOVERED", "BALANCE_UPDATED", "POOL_REMOVED"]
    pool_address: Key
    dex: Word
    base_mint: Key
    quote_mint: Key
    base_reserve: U64
    quote_reserve: U64
    geyser_slot: Slot
    liquidity_lamports: Lamports | None = None
    metadata: dict[str, str] = {}


class PriorityFeePercentiles(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Recent priority fees, micro-lamports per compute unit (contract section 1.10)."""

    sample_count: U32
    last_slot: Slot
    p25: U64
    p50: U64
    p75: U64
    p90: U64
    tier0_recommended: U64
    tier1_recommended: U64
    arb_recommended: U64


MARKET = (
    PoolCreated,
    DexPoolAccounts,
    Trade,
    SwapObserved,
    PriceUpdate,
    LiquidityRemoved,
    DevWalletIdentified,
    TokenMintInfo,
    SlotUpdate,
    PoolStateUpdate,
    BinArrayUpdate,
    AccountUpdate,
    AccountWritten,
    TransactionDetected,
    WalletBalanceSnapshot,
    WalletSnapshotComplete,
    WalletActivity,
    EarlyBuyerDetected,
    InsiderAlert,
    BondingCurveProgress,
    LatestBlockhash,
    WalletTxConfirmed,
    PoolCacheUpdate,
    PriorityFeePercentiles,
    TokenMetadata,
)
"""Every event of the market, written by hand."""


def event_id_of(event: Struct) -> str | None:
    """The id of a market event that came from a transaction: `slot-signature-position`; None for the others."""
    told: str | None = getattr(event, "event_id", None)
    if told is not None:
        return told
    signature: str | None = getattr(event, "signature", None)
    position: int | None = getattr(event, "position", None)
    if signature is None or position is None:
        return None
    slot: int | None = getattr(event, "slot", None)
    return f"{slot if slot is not None else 'x'}-{signature}-{position}"
