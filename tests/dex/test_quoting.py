"""The public quote function: how it finds its venue."""

from ironcrab import dex
from ironcrab.dex.face import ABSENT, Clock, Refusal

POOL = "58oQChx4yWmvKdwLLZzBi4ChoCc2fqCUWBkwMihLYQo2"


def test_unknown_pools_and_owners_are_refused():
    unknown = dex.quote(POOL, {}, mint_in="", amount=1, clock=Clock(0, 0, 0))
    assert isinstance(unknown, Refusal)
    assert unknown.missing == (POOL,)
    strange = dex.quote(POOL, {POOL: ABSENT}, mint_in="", amount=1, clock=Clock(0, 0, 0))
    assert isinstance(strange, Refusal)
    assert strange.missing == ()


def test_every_program_names_its_venue():
    for venue in dex.VENUES:
        assert all(dex.venue_of(program) is venue for program in venue.programs)
        assert venue.generations
    assert len(dict.fromkeys(venue.id for venue in dex.VENUES)) == len(dex.VENUES)
