"""A process that is made to be killed: a real log on disk, a Sender on it, asks made one after another.

python -m tests.shell.desk_process FOLDER URL ASKS: prints `up` when it begins, `done` when all asks have ended.
"""

import asyncio
import sys
from pathlib import Path

from ironcrab.domain.ask import SendAsk
from ironcrab.log.recording import Recording
from ironcrab.loop import Record
from ironcrab.shell.clock import now_ns
from ironcrab.shell.routes import RpcRoute
from ironcrab.shell.rpc import Rpc
from ironcrab.shell.sender import Sender
from ironcrab.shell.transaction import Tables
from tests.shell.stage import DECIMALS, FAST, WALLET, plan


async def main(folder, url, asks):
    if folder.exists():
        records = []
        writer = Recording.resume(folder, commit_interval_s=0.005)
        records = list(Recording.open(folder).records())
    else:
        records = []
        writer = Recording.create(folder, "0" * 32, commit_interval_s=0.005)
    arrived = asyncio.Event()
    async with Rpc(url, timeout_s=1) as rpc:
        sender = Sender(WALLET, (RpcRoute(rpc),), (rpc,), Tables(), lambda: writer.durable_seq, arrived, params=FAST)
        ended = {}

        def see(record):
            sender.see(record)
            if isinstance(record.event, SendAsk):
                ended[record.seq] = False
            elif getattr(record.event, "last", False):
                ended[record.event.ask] = True

        def take(event):
            record = Record(writer.next_seq, None, None, now_ns(), event)
            writer.append(record)
            see(record)

        for record in records:
            see(record)
        sender.start()
        print("up", flush=True)
        while True:
            if all(ended.values()):
                if len(ended) == asks:
                    break
                take(SendAsk(len(ended), 0, plan("transfer", 10**DECIMALS + len(ended))))
            await arrived.wait()
            arrived.clear()
            for answer in sender.due(None):
                take(answer)
        await sender.stop()
    writer.close()
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
