"""Cluster: the tasks of a sweep carried out by Ray (extra `ray`), on this machine or on many.

An executor like the pool of processes: tasks in, lines out as they come. On many machines ironcrab is installed and
the recordings lie at the same paths on each of them.
"""

import socket
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import msgspec

from ironcrab.domain.fault import InputFault
from ironcrab.mode.sweeping import Executor, Line, Plan, Task, work

LOCAL = "local"
"""Instead of an address: a cluster on this machine alone, started and ended with the sweep."""

REACH_S = 5.0
"""Seconds until a cluster that does not answer is not there."""


def over_ray(address: str) -> Executor:
    """The executor that hands tasks to the Ray cluster of this address, or to one of its own (`local`)."""

    def carry_out(planned: Plan, todo: list[Task], jobs: int) -> Iterator[list[Line]]:
        try:
            import ray  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise InputFault("--ray needs ray; install it: pip install 'ironcrab[ray]'") from error
        _reach(address)
        where: dict[str, Any] = {"num_cpus": jobs} if address == LOCAL else {}
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, logging_level="error", **where)
        except (ConnectionError, RuntimeError, ValueError, TypeError) as error:
            raise InputFault(f"--ray {address}: {str(error).splitlines()[0]}") from error
        try:
            told = ray.put(msgspec.json.encode(planned))
            far = ray.remote(_work).options(max_retries=0)
            waiting = [far.remote(told, msgspec.json.encode(task)) for task in todo]
            while waiting:
                (done,), waiting = ray.wait(waiting, num_returns=1)
                yield msgspec.json.decode(ray.get(done), type=list[Line])
        except ray.exceptions.WorkerCrashedError as error:
            raise BrokenProcessPool(str(error)) from error
        finally:
            ray.shutdown()

    return carry_out


def _reach(address: str) -> None:
    """InputFault where nobody listens: Ray itself would wait for minutes."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host.rpartition("/")[2], int(port)), REACH_S).close()
    except (OSError, OverflowError) as error:
        raise InputFault(f"--ray {address}: {error}; start one there with: ray start --head") from error


def _work(planned: bytes, task: bytes) -> bytes:
    """One task, far away."""
    return msgspec.json.encode(work(msgspec.json.decode(planned, type=Plan), msgspec.json.decode(task, type=Task)))
