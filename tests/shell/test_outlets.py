"""Outlets against a real virtual machine over real HTTP: simulated, signed, sent, confirmed, accounted."""

import asyncio


import pytest
from tests.shell.stage import DECIMALS, FAST, KEYPAIR, MINT, OTHER, SOL, WALLET, Stage, build, new_chain, plan

from ironcrab.dex.address import WSOL
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer


def test_wrap_unwrap_transfer_end_to_end():
    async def go():
        async with Stage(new_chain()) as stage:
            answer = await stage.simulate(plan("wrap", 2 * SOL))
            assert answer.success, answer
            assert answer.compute_units_consumed > 1000
            answer = await stage.send(plan("wrap", 2 * SOL))
            assert answer.status == "confirmed", answer
            assert stage.tokens(WALLET.address, WSOL) == 2 * SOL
            print(answer)
            answer = await stage.send(plan("unwrap", SOL))
            assert answer.status == "confirmed", answer
            assert stage.tokens(WALLET.address, WSOL) == SOL
            answer = await stage.simulate(plan("transfer", 5 * 10**DECIMALS))
            assert answer.success, answer
            answer = await stage.send(plan("transfer", 5 * 10**DECIMALS))
            print(answer)
            assert stage.tokens(OTHER, MINT) == 5 * 10**DECIMALS
            assert answer.fill_in.raw == 5 * 10**DECIMALS
            for record in stage.desk.records: print(record.event)
    asyncio.run(go())
