"""Outlets against a real virtual machine over real HTTP: simulated, signed, sent, confirmed, accounted."""

import asyncio

import pytest
from msgspec.structs import replace

from ironcrab.dex.address import WSOL
from ironcrab.domain.ask import ConfirmAnswer, SendAnswer, SendAsk, SignedAnswer, SimulateAsk
from ironcrab.domain.market import LatestBlockhash, SlotUpdate
from ironcrab.ingest.proto import geyser_pb2 as wire
from ironcrab.loop import Record
from ironcrab.shell.landing import EXPIRED
from ironcrab.shell.localnet import Localnet
from ironcrab.shell.routes import Handed, RpcRoute
from ironcrab.shell.rpc import Rpc
from ironcrab.shell.sender import SenderParams
from tests.shell.stage import DECIMALS, MINT, OTHER, SOL, WALLET, Stage, new_chain, plan

TOKENS = 10**DECIMALS


def run(go):
    return asyncio.run(go)


def ours(chain):
    """What of the wallet landed."""
    return [landing for landing in chain.ledger.values() if str(landing.ran.accounts.keys[0]) == WALLET.address]


def test_wrap_unwrap_and_transfer_are_simulated_sent_confirmed_and_accounted():
    async def go():
        async with Stage(new_chain()) as stage:
            rent = stage.chain.vm.svm.minimum_balance_for_rent_exemption(165)
            answer = await stage.simulate(plan("wrap", 2 * SOL))
            assert answer.success
            assert answer.amount_out == 2 * SOL
            fee = 5_000 + -(-(100_000 * 1_000) // 1_000_000)
            assert -rent - fee <= answer.wallet_sol_delta_lamports <= -rent - 5_000
            assert answer.compute_units_consumed > 1000
            assert stage.tokens(WALLET.address, WSOL) is None
            answer = await stage.send(plan("wrap", 2 * SOL))
            assert (answer.status, answer.fill_out.raw, answer.fill_in.raw) == ("confirmed", 2 * SOL, 2 * SOL + rent)
            assert answer.wallet_sol_delta_lamports == -rent - answer.fees.network_fee_lamports
            assert stage.tokens(WALLET.address, WSOL) == 2 * SOL
            answer = await stage.send(plan("unwrap", SOL))
            assert (answer.status, answer.fill_in.raw, answer.fill_out.raw) == ("confirmed", SOL, SOL)
            assert stage.tokens(WALLET.address, WSOL) == SOL
            answer = await stage.send(plan("transfer", 5 * TOKENS))
            assert (answer.fill_in.raw, answer.fill_in.decimals) == (5 * TOKENS, DECIMALS)
            assert answer.fill_unavailable_reason == "lamport_delta_gated_account_lifecycle_noise"
            answer = await stage.send(plan("transfer", 7 * TOKENS))
            assert answer.fill_in.raw == 7 * TOKENS
            assert answer.fill_unavailable_reason == "token_balance_delta_missing"
            assert stage.tokens(OTHER, MINT) == 12 * TOKENS
            assert answer.fees.network_fee_lamports == ours(stage.chain)[-1].ran.fee
            kinds = [type(event).__name__ for event in stage.desk.said(stage.desk.records[-4].seq)]
            assert kinds in ([], ["SignedAnswer", "SendAnswer", "ConfirmAnswer"])

    run(go())


def test_a_simulation_that_fails_tells_the_chain_s_error_and_sends_nothing():
    async def go():
        async with Stage(new_chain()) as stage:
            answer = await stage.simulate(plan("transfer", 2000 * TOKENS))
            assert not answer.success
            assert answer.error_code == '{"InstructionError":[3,{"Custom":1}]}'
            assert "insufficient" in answer.logs_preview
            assert ours(stage.chain) == []

    run(go())


def test_a_transaction_that_fails_on_the_chain_costs_its_fee():
    async def go():
        async with Stage(new_chain("fail 1")) as stage:
            answer = await stage.send(plan("transfer", TOKENS))
            assert (answer.status, answer.fill_in, answer.fill_out) == ("failed", None, None)
            assert answer.error_code == '{"InstructionError":[0,{"Custom":1}]}'
            assert answer.fees.network_fee_lamports > 5000
            assert answer.wallet_sol_delta_lamports == -answer.fees.network_fee_lamports
            assert stage.tokens(OTHER, MINT) is None

    run(go())


def test_answers_are_numbered_and_only_the_last_is_marked():
    async def go():
        async with Stage(new_chain()) as stage:
            ask = stage.desk.ask(plan("transfer", TOKENS))
            await stage.desk.last(ask)
            said = stage.desk.said(ask)
            assert [type(event) for event in said] == [SignedAnswer, SendAnswer, ConfirmAnswer]
            assert [event.ordinal for event in said] == [0, 1, 2]
            assert [event.last for event in said] == [False, False, True]
            assert said[1].method == "rpc"
            assert said[1].signature == said[0].signature == said[2].signature

    run(go())


@pytest.mark.parametrize(
    ("script", "most_s"),
    [
        ("drop 1", 5),
        ("drop 1 3", 5),
        ("delay 1 6", 5),
        ("mute 1 2", 5),
        ("hide 1 10", 5),
        ("busy sendTransaction 1\nbusy getSignatureStatuses every 2", 8),
        ("behind sendTransaction 1\nbehind getSignatureStatuses 1", 5),
        ("drop 1\nmute 1 2\ndelay 1 3\nhide 1 9", 8),
    ],
)
def test_lost_late_and_hidden_transactions_land_once(script, most_s):
    async def go():
        async with Stage(new_chain(script, slot_ms=15)) as stage:
            ask = stage.desk.ask(plan("transfer", TOKENS))
            answer = await stage.desk.last(ask, most_s)
            assert answer.status == "confirmed"
            assert len(stage.desk.said(ask, SignedAnswer)) == 1
            assert len(ours(stage.chain)) == 1
            assert stage.tokens(OTHER, MINT) == TOKENS

    run(go())


def test_two_equal_plans_are_two_transactions():
    async def go():
        async with Stage(new_chain()) as stage:
            asks = [stage.desk.ask(plan("transfer", TOKENS)) for _ in range(4)]
            for ask in asks:
                assert (await stage.desk.last(ask)).status == "confirmed"
            assert len(ours(stage.chain)) == 4
            assert stage.tokens(OTHER, MINT) == 4 * TOKENS

    run(go())


def test_nothing_leaves_before_the_signature_is_durable():
    async def go():
        async with Stage(new_chain()) as stage:
            stage.desk.hold = 0
            stage.desk.durable_seq = -1
            ask = stage.desk.ask(plan("transfer", TOKENS))
            await stage.desk.until(lambda: stage.desk.said(ask, SignedAnswer))
            await asyncio.sleep(0.2)
            assert stage.chain.fates.submissions == {}
            assert stage.desk.said(ask, SendAnswer) == []
            stage.desk.durable_seq = len(stage.desk.records) - 1
            assert (await stage.desk.last(ask)).status == "confirmed"

    run(go())


def test_what_can_never_land_ends_as_expired_and_is_not_signed_anew_when_old():
    async def go():
        params = SenderParams(resend_ms=20, poll_ms=20, sign_within_ms=0)
        async with Stage(new_chain("drop 1 all"), tick=False) as stage:
            stage.sender.params = SenderParams(resend_ms=20, poll_ms=20, sign_within_ms=60_000)
            ask = stage.desk.ask(plan("transfer", TOKENS))
            await stage.desk.until(lambda: stage.desk.said(ask, SendAnswer))
            stage.sender.params = params
            stage.chain.advance(150)
            await asyncio.sleep(0.1)
            stage.desk.drain()
            assert stage.desk.said(ask, ConfirmAnswer) == []  # not finalized yet: it proves nothing
            stage.chain.advance(40)
            answer = await stage.desk.last(ask)
            assert (answer.status, answer.error_code) == ("expired", EXPIRED)
            assert len(stage.desk.said(ask, SignedAnswer)) == 1

    run(go())


def test_after_certain_expiry_a_young_ask_is_signed_anew_once():
    async def go():
        async with Stage(new_chain("drop 1 all"), tick=False) as stage:
            ask = stage.desk.ask(plan("transfer", TOKENS))
            await stage.desk.until(lambda: stage.desk.said(ask, SendAnswer))
            stage.chain.advance(190)
            await stage.desk.until(lambda: len(stage.desk.said(ask, SignedAnswer)) == 2)
            await stage.desk.until(lambda: ours(stage.chain))
            stage.chain.advance(3)
            answer = await stage.desk.last(ask)
            first, second = stage.desk.said(ask, SignedAnswer)
            assert answer.status == "confirmed"
            assert answer.signature == second.signature != first.signature
            assert len(ours(stage.chain)) == 1
            assert [event.ordinal for event in stage.desk.said(ask)] == [0, 1, 2, 3]

    run(go())


def test_a_landing_behind_the_expiry_check_is_never_followed_by_a_second_signature():
    async def go():
        # lands in the last block it may land in, is hidden by the status call, and the history shows it
        async with Stage(new_chain("delay 1 140\nhide 1 60"), tick=False) as stage:
            ask = stage.desk.ask(plan("transfer", TOKENS))
            await stage.desk.until(lambda: stage.desk.said(ask, SendAnswer))
            for _ in range(10):
                stage.chain.advance(19)
                await asyncio.sleep(0.05)
                stage.desk.drain()
            stage.chain.advance(40)
            answer = await stage.desk.last(ask)
            assert answer.status == "confirmed"
            assert len(stage.desk.said(ask, SignedAnswer)) == 1
            assert len(ours(stage.chain)) == 1

    run(go())


def test_the_wallet_s_feed_confirms_without_a_status_call():
    async def go():
        async with Stage(new_chain()) as stage:
            stage.sender.params = SenderParams(resend_ms=1000, poll_ms=60_000)

            def hear(frame):
                update = wire.SubscribeUpdate.FromString(frame)
                if update.HasField("transaction"):
                    stage.sender.hear(update.transaction.transaction, update.transaction.slot)

            stage.chain.listeners.append(hear)
            answer = await stage.send(plan("transfer", 3 * TOKENS), 2)
            assert (answer.status, answer.fill_in.raw) == ("confirmed", 3 * TOKENS)
            assert answer.slot == ours(stage.chain)[0].slot
            stage.chain.fates = new_chain("fail 1").fates
            answer = await stage.send(plan("transfer", 3 * TOKENS), 2)
            assert (answer.status, answer.error_code) == ("failed", '{"InstructionError":[0,{"Custom":1}]}')

    run(go())


def test_the_feed_s_confirmed_blockhash_is_signed_with_and_no_node_is_asked():
    async def go():
        async with Stage(new_chain(), tick=False) as stage:
            block = stage.chain.blocks[stage.chain.slot - 3]
            event = LatestBlockhash(block.hash, block.slot, block_height=block.height)
            stage.desk.take(event)
            stage.desk.take(SlotUpdate(block.slot, block.slot, status="confirmed"))
            ask = stage.desk.ask(plan("transfer", TOKENS))
            await stage.desk.until(lambda: stage.desk.said(ask, SignedAnswer))
            signed = stage.desk.said(ask, SignedAnswer)[0]
            assert (signed.blockhash, signed.last_valid_block_height) == (block.hash, block.height + 150)
            hashes = [r.event for r in stage.desk.records if isinstance(r.event, LatestBlockhash)]
            assert hashes == [event]

    run(go())


class Gate:
    """A route that can be shut, refuse, or lie."""

    method = "gate"
    is_bundle = False

    def __init__(self, inner=None, said=None):
        self.inner = inner
        self.said = said
        self.handed = []

    async def hand(self, transaction, signature):
        self.handed.append(transaction)
        if self.said is None:
            await asyncio.sleep(60)
        if self.inner is not None:
            await self.inner.hand(transaction, signature)
        return self.said

    async def has_landed(self, bundle_id):
        return False


def test_routes_are_used_in_parallel_and_a_slow_one_delays_nobody():
    async def go():
        async with Stage(new_chain()) as stage:
            slow, broken = Gate(), Gate(said=Handed("refused", "no"))
            stage.sender.routes = (slow, broken, RpcRoute(stage.rpc))
            ask = stage.desk.ask(plan("transfer", TOKENS))
            answer = await stage.desk.last(ask, 3)
            assert answer.status == "confirmed"
            assert stage.desk.said(ask, SendAnswer)[0].method == "rpc"
            assert slow.handed[0] == broken.handed[0] == stage.desk.said(ask, SignedAnswer)[0].transaction

    run(go())


def test_only_certain_refusals_of_all_routes_end_an_ask_as_not_sent():
    async def go():
        async with Stage(new_chain()) as stage:
            stage.sender.routes = (Gate(said=Handed("refused", "a")), Gate(said=Handed("refused", "b")))
            answer = await stage.send(plan("transfer", TOKENS))
            assert (answer.ok, answer.error, answer.last) == (False, "a; b", True)
            stage.sender.routes = (Gate(RpcRoute(stage.rpc), Handed("unknown", "timeout")),)
            answer = await stage.send(plan("transfer", TOKENS))
            assert answer.status == "confirmed"

    run(go())


def test_bytes_of_an_earlier_life_are_not_taken_back_by_a_refusal():
    """They may be under way: the ask ends by its landing or by its certain expiry, never as not sent."""

    async def go():
        async with Localnet(new_chain("delay 1 30", slot_ms=15)) as net:
            async with Stage(net.chain, net=net) as stage:
                stage.sender.routes = (Muted(RpcRoute(stage.rpc)),)
                ask = stage.desk.ask(plan("transfer", TOKENS))
                await stage.desk.until(lambda: net.chain.pending)
                assert stage.desk.said(ask, SendAnswer) == []
                records = list(stage.desk.records)
            async with Stage(net.chain, records, net=net) as stage:
                stage.sender.routes = (gate := Gate(said=Handed("refused", "401")),)
                answer = await stage.desk.last(ask)
                assert gate.handed
            assert answer.status == "confirmed"
            assert len(ours(net.chain)) == 1

    run(go())


def test_what_was_sent_again_is_counted_once():
    async def go():
        async with Stage(new_chain("drop 1 2", slot_ms=15)) as stage:
            answer = await stage.send(plan("transfer", TOKENS))
            assert answer.rebroadcasts == stage.chain.fates.submissions[answer.signature] - 1

    run(go())


def test_what_cannot_be_built_is_refused_before_anything_is_signed():
    async def go():
        async with Stage(new_chain()) as stage:
            ask = stage.desk.ask(replace(plan("transfer", TOKENS), calls=()))
            answer = await stage.desk.last(ask)
            assert (answer.ok, answer.last) == (False, True)
            assert answer.error.startswith("PLAN_UNBUILT")
            assert stage.desk.said(ask, SignedAnswer) == []
            answer = await stage.simulate(replace(plan("transfer", TOKENS), calls=()))
            assert answer.error_code.startswith("PLAN_UNBUILT")
            one = plan("transfer", TOKENS)
            answers = [await stage.send(one), await stage.send(one)]
            assert [getattr(answer, "status", None) for answer in answers] == ["confirmed", None] or len(
                ours(stage.chain)
            ) == 2, "equal messages are one transaction while their blockhash is the same"
            stage.chain.ledger.clear()
            assert ours(stage.chain) == []

    run(go())


# restarts

POINTS = ("asked", "signed", "recorded", "durable", "submitted", "sent", "landed", "confirmed")


async def crash_at(net, point):
    """Run one ask up to a point and crash: what the disk holds of the log is all that is left."""
    async with Stage(net.chain, net=net) as stage:
        desk = stage.desk
        if point in ("signed", "recorded"):
            desk.hold, desk.durable_seq = 2, -1
        if point == "durable":
            stage.sender.routes = (Gate(),)
        if point == "submitted":
            stage.sender.routes = (Muted(RpcRoute(stage.rpc)),)
        ask = desk.ask(plan("transfer", TOKENS))
        reached = {
            "asked": lambda: True,
            "signed": lambda: any(isinstance(answer, SignedAnswer) for answer in stage.sender.answers),
            "recorded": lambda: desk.said(ask, SignedAnswer),
            "durable": lambda: desk.said(ask, SignedAnswer),
            "submitted": lambda: ours(net.chain),
            "sent": lambda: desk.said(ask, SendAnswer),
            "landed": lambda: ours(net.chain),
            "confirmed": lambda: any(isinstance(answer, ConfirmAnswer) for answer in stage.sender.answers),
        }[point]
        async with asyncio.timeout(5):
            while not reached():
                await asyncio.sleep(0.002)
                if point == "signed" and any(isinstance(answer, LatestBlockhash) for answer in stage.sender.answers):
                    continue
                if point != "confirmed" or not any(isinstance(a, ConfirmAnswer) for a in stage.sender.answers):
                    desk.drain()
        records = desk.records[: desk.durable_seq + 1] if point in ("signed", "recorded") else list(desk.records)
        return records or [desk.records[0]]


class Muted(Gate):
    """Hands the bytes on and never says so."""

    async def hand(self, transaction, signature):
        await self.inner.hand(transaction, signature)
        await asyncio.sleep(60)


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("script", ["", "drop 1", "mute 1", "delay 1 4"])
def test_a_crash_at_any_point_costs_no_transaction_and_makes_no_second(point, script):
    if point in ("landed", "submitted", "confirmed") and script == "drop 1":
        script = ""

    async def go():
        async with Localnet(new_chain(script, slot_ms=15)) as net:
            records = await crash_at(net, point)
            async with Stage(net.chain, records, net=net) as stage:
                answer = await stage.desk.last(0)
                assert answer.status == "confirmed"
                assert stage.desk.said(0)[-1].last
                ordinals = [event.ordinal for event in stage.desk.said(0)]
                assert ordinals == sorted(set(ordinals))
            assert len(ours(net.chain)) == 1
            assert stage.tokens(OTHER, MINT) == TOKENS

    run(go())


@pytest.mark.parametrize("seed", range(6))
def test_crashes_at_any_instant_again_and_again(seed):
    """Six asks, a crash every few milliseconds at instants that a seed spreads; each lands exactly once."""

    async def go():
        async with Localnet(new_chain("drop every 3\nmute every 4\ndelay every 5 3", slot_ms=12)) as net:
            records, asks = [], []
            for life in range(12):
                async with Stage(net.chain, records, net=net) as stage:
                    if life < 6:
                        asks.append(stage.desk.ask(plan("transfer", TOKENS + life)))
                    wanted = len(records) + 1 + (seed + life * 5) % 4
                    await stage.desk.until(lambda s=stage, at=wanted: len(s.desk.records) >= at or s.settled(asks), 5)
                    await asyncio.sleep((seed * 7 + life * 13) % 11 / 1000)
                    records = list(stage.desk.records)
            async with Stage(net.chain, records, net=net) as stage:
                answers = [await stage.desk.last(ask) for ask in asks]
            assert [answer.status for answer in answers] == ["confirmed"] * 6
            assert len(ours(net.chain)) == 6
            assert stage.tokens(OTHER, MINT) == 6 * TOKENS + 15

    run(go())


def test_an_ask_that_was_never_signed_and_is_old_is_not_signed_after_a_restart():
    async def go():
        async with Localnet(new_chain()) as net:
            async with Stage(net.chain, net=net) as stage:
                record = stage.desk.take(SendAsk(0, 0, plan("transfer", TOKENS)), time=1)
            async with Stage(net.chain, [record], net=net) as stage:
                answer = await stage.desk.last(0)
                assert (answer.ok, answer.last) == (False, True)
                assert "older than" in answer.error
            assert ours(net.chain) == []

    run(go())


def test_a_restart_finds_what_landed_meanwhile_by_its_signature_without_sending():
    async def go():
        async with Localnet(new_chain(slot_ms=10)) as net:
            records = await crash_at(net, "landed")
            net.chain.advance(400)  # the blockhash is long gone
            submissions = dict(net.chain.fates.submissions)
            async with Stage(net.chain, records, net=net) as stage:
                answer = await stage.desk.last(0)
            assert answer.status == "confirmed"
            assert net.chain.fates.submissions == submissions
            assert len(ours(net.chain)) == 1

    run(go())


def test_a_silent_or_contradicting_node_proves_no_expiry():
    async def go():
        liar = new_chain()  # another chain: knows nothing of ours and is far ahead
        liar.advance(1000)
        chain = new_chain("delay 1 60", slot_ms=15)
        async with Localnet(liar) as other, Rpc(other.url) as second, Stage(chain) as stage:
            stage.sender.nodes = (second, stage.rpc)
            stage.sender.newest = None
            ask = stage.desk.ask(plan("transfer", TOKENS))
            # the liar's blockhash would never land: sign with the real one
            block = stage.chain.blocks[stage.chain.slot - 3]
            told = LatestBlockhash(block.hash, block.slot, "rpc", block_height=block.height)
            stage.sender.see(Record(0, None, None, 2**62, told))
            answer = await stage.desk.last(ask)
            assert answer.status == "confirmed"
            assert len(stage.desk.said(ask, SignedAnswer)) == 1
            assert len(ours(stage.chain)) == 1

    run(go())


def test_a_simulation_that_nobody_answers_times_out():
    async def go():
        async with Stage(new_chain("behind simulateTransaction every 1")) as stage:
            answer = await stage.simulate(plan("transfer", TOKENS))
            assert (answer.success, answer.error_code) == (False, "sim_timeout")
            assert "behind" in answer.logs_preview

    run(go())


def test_a_simulation_waits_for_the_state_its_plan_was_made_on():
    async def go():
        async with Stage(new_chain(slot_ms=20)) as stage:
            ahead = stage.chain.slot + 5
            stage.desk.take(SlotUpdate(ahead, ahead))
            answer = await stage.simulate(plan("transfer", TOKENS))
            assert answer.success
            assert stage.chain.slot >= ahead

    run(go())


def test_a_simulation_open_at_a_restart_is_simulated_again():
    async def go():
        async with Localnet(new_chain()) as net:
            async with Stage(net.chain, net=net) as stage:
                record = stage.desk.take(SimulateAsk(0, 0, plan("transfer", TOKENS)))
            async with Stage(net.chain, [record], net=net) as stage:
                assert (await stage.desk.last(0)).success

    run(go())


def test_a_broken_builder_ends_its_own_ask_only():
    async def go():
        async with Stage(new_chain()) as stage:
            good, stage.sender.tables = stage.sender.tables, None
            broken = replace(plan("transfer", TOKENS), tables=("T",))
            answer = await stage.send(broken)
            assert (answer.ok, answer.last) == (False, True)
            assert "AttributeError" in answer.error
            stage.sender.tables = good
            assert (await stage.send(plan("transfer", TOKENS))).status == "confirmed"

    run(go())
