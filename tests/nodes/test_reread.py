"""Market-data with a node to read from: what is asked of it over the bus is read, recorded and answered."""

from ironcrab.domain.control import ControlRequest, ControlResponse
from ironcrab.domain.market import AccountWritten
from ironcrab.log.recording import Recording
from ironcrab.shell.bus_server import CONTROL_REQUESTS
from ironcrab.shell.clock import now_ns
from ironcrab.shell.endpoint import endpoint
from ironcrab.shell.hosted import served
from tests.live.desk import judged, scenario
from tests.live.test_armed import SLOT_MS
from tests.nodes.test_words import HEAD, Listener, connected_when, run
from tests.nodes.town import Town, quiet
from tests.shell.stage import WALLET, new_chain


def test_what_is_asked_of_market_data_is_read_and_answered(tmp_path):
    async def go():
        chain = new_chain("", slot_ms=SLOT_MS, unix_ms=now_ns() // 10**6)
        async with served(chain, 0, 0, tick=True) as (rpc_url, feed_url), Town(tmp_path, scenario()) as town:
            town.endpoint, town.rpc_url = endpoint(feed_url), rpc_url
            town.start_all()
            async with connected_when(town.operator()) as bus:
                people = Listener(bus)
                await people.until_ready()
                told = {**HEAD, "target": "market-data", "kind": "ensure_raydium_amm_pool_state"}
                for number in range(50):
                    asked = {**told, "request_id": f"r-{number}", "pool_address_hint": WALLET.address}
                    answer = await people.ask(CONTROL_REQUESTS, asked)
                    if answer["status"] != "error":  # the feed may not be there yet
                        break
            town.stops["announcer"].set()
            await town.tasks.pop("announcer")
            await town.stop_all()
            await quiet(tmp_path / "demo")
            return answer

    answer = run(go())
    judged(tmp_path / "demo")
    assert (answer["status"], answer["pool_address"]) == ("not_found", WALLET.address)
    assert "no pool of a known venue" in answer["message"]
    records = list(Recording.open(tmp_path / "demo").records((AccountWritten, ControlRequest, ControlResponse)))
    read = [record for record in records if getattr(record.event, "source", "") == "rpc"]
    assert [record.event.pubkey for record in read] == [WALLET.address]
    asked, answered = (
        [record.seq for record in records if isinstance(record.event, kind)][-1]
        for kind in (ControlRequest, ControlResponse)
    )
    assert asked < read[0].seq < answered
