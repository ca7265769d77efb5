"""Logs that this code did not write to the end, or does not know: inspect and query go on, reducers halt."""

import json
from binascii import hexlify

import msgspec
import pytest
from blake3 import blake3

from ironcrab.log import anchor, manifest
from ironcrab.log.line import TAIL_BYTES
from tests.app.test_commands import BLOCK, SCENARIO, ironcrab, refused

AT = 20
"""The record that is made strange."""


def as_it_is(body):
    return body


def unknown_type(body):
    head, _, tail = body.partition(b'"type":"')
    return head + b'"type":"FutureEvent"' + tail[tail.index(b'"') + 1 :]


def unknown_field(body):
    return body[:-1] + b',"novel":5}'


@pytest.fixture(scope="module")
def still_open(tmp_path_factory):
    """(edit of a record, schema version, complete) -> folder of a log that its writer has not closed."""

    def make(edit, version=1):
        path = tmp_path_factory.mktemp("strange") / "log"
        assert ironcrab("run", BLOCK, SCENARIO, "--hot", "--out", path)[0] == 0
        (segment,) = (path / "segments").glob("*.jsonl")
        first, *lines, _ = segment.read_bytes().splitlines(keepends=True)
        opening = anchor.read(first)
        known = version == 1 and edit is as_it_is
        opening = msgspec.structs.replace(opening, version=version, schema=opening.schema if known else "0" * 64)
        out, head = [anchor.write(opening)], bytes.fromhex(opening.previous)
        for seq, line in enumerate(lines):
            body = line[:-TAIL_BYTES]
            body = edit(body) if seq == AT else body
            head = blake3(head + body).digest()
            out.append(body + b',"chain":"' + hexlify(head[:8]) + b'"}\n')
        segment.write_bytes(b"".join(out))
        manifest.edit(path, lambda listed: msgspec.structs.replace(listed, segments=()), sync=False)
        return path

    return make


def test_a_log_that_is_being_written_answers(still_open):
    path = still_open(as_it_is)
    assert [json.loads(row)["seq"] for row in ironcrab("inspect", path, "20..22", "--json")[1].splitlines()] == [
        20,
        21,
        22,
    ]
    assert ironcrab("verify", path)[0] == 0
    assert json.loads(ironcrab("why", path, "6EcX", "--json")[1])["answer"] == "gate"


@pytest.mark.parametrize(
    ("edit", "version", "said"),
    [
        (unknown_type, 1, "FutureEvent, an event type this version does not know"),
        (unknown_field, 1, "unknown field novel"),
        (as_it_is, 2, "written under schema 2"),
    ],
)
def test_reducers_halt_where_inspect_and_query_go_on(edit, version, said, still_open, tmp_path):
    path = still_open(edit, version)
    code, out, err = ironcrab("inspect", path, "--json")
    assert code == 0, err
    assert json.loads(out)["records"] == 310
    assert len(json.loads(out)["runs"]) == 1
    code, out, err = ironcrab("inspect", path, str(AT), "--json")
    assert code == 0, err
    assert json.loads(out)["seq"] == AT
    code, out, err = ironcrab("query", path, f"select count(*) n, max(type) filter (seq = {AT}) t from log", "--json")
    assert code == 0, err
    assert json.loads(out)["n"] == 310
    assert (json.loads(out)["t"] == "FutureEvent") == (edit is unknown_type)
    for command in (("verify", path), ("replay", path), ("run", path, SCENARIO, "--out", tmp_path / "x")):
        assert said in refused(*command)
