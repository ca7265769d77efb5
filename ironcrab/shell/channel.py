"""The gRPC channel to an endpoint, as everybody here opens it."""

from typing import Any

import grpc
from grpc import aio

from ironcrab.shell.endpoint import Endpoint

LARGEST_MESSAGE = 128 << 20
"""Bytes of a message that is received; a block with accounts is 24 MB."""
KEEPALIVE_MS = 30_000
SUBSCRIBE = "/geyser.Geyser/Subscribe"


def open_channel(endpoint: Endpoint, keepalive_ms: int = KEEPALIVE_MS) -> Any:
    """A channel, not connected yet: an async context manager."""
    options = (
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.compression_enabled_algorithms_bitset", 1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
    )
    if not endpoint.tls:
        return aio.insecure_channel(endpoint.target, options)
    return aio.secure_channel(endpoint.target, grpc.ssl_channel_credentials(endpoint.authorities), options)


def metadata_of(endpoint: Endpoint) -> tuple[tuple[str, str], ...]:
    """What goes with each call: the token, where there is one."""
    return ((endpoint.token_name, endpoint.token),) if endpoint.token is not None else ()
