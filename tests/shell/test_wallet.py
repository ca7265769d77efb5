"""The key: whose file it must be, and that nothing ever shows it."""

import base64
import io
import os
import pickle
import resource
import subprocess
import sys
import traceback

import msgspec
import pytest
from solders.keypair import Keypair
from solders.signature import Signature

from ironcrab.domain.fault import InputFault
from ironcrab.shell.wallet import KEY_VARIABLES, load_wallet, refuse_if_key_in_reach
from tests.shell.stage import KEYPAIR

NUMBERS = msgspec.json.encode(list(bytes(KEYPAIR)))


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "id.json"
    path.write_bytes(NUMBERS)
    path.chmod(0o600)
    return path


def secrets():
    """Every spelling of the key that must not be seen."""
    raw = bytes(KEYPAIR)
    return [str(KEYPAIR), NUMBERS.decode(), NUMBERS.decode().replace(",", ", "), repr(raw)[2:40], raw[:32].hex()]


def assert_hidden(text):
    for secret in secrets():
        assert secret not in text
        assert secret[:30] not in text


def test_it_signs_what_the_key_signs(key_file):
    wallet = load_wallet(key_file)
    assert wallet.address == str(KEYPAIR.pubkey())
    signature = Signature.from_bytes(wallet.sign(b"message"))
    assert signature.verify(KEYPAIR.pubkey(), b"message")
    assert wallet.sign(b"message") == bytes(signature)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o777, 0o601])
def test_a_file_that_others_may_reach_is_refused_with_path_and_mode(key_file, mode):
    key_file.chmod(mode)
    with pytest.raises(InputFault) as told:
        load_wallet(key_file)
    assert str(key_file) in str(told.value)
    assert f"{mode:04o}" in str(told.value)
    assert "chmod 600" in str(told.value)
    assert_hidden(str(told.value))


def test_a_file_of_another_user_is_refused(key_file, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InputFault, match="belongs to user"):
        load_wallet(key_file)


def test_no_file_a_folder_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(InputFault, match="cannot be read"):
        load_wallet(tmp_path / "none.json")
    tmp_path.chmod(0o700)
    with pytest.raises(InputFault, match="no regular file"):
        load_wallet(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InputFault, match="no regular file"):
        load_wallet(tmp_path / "pipe")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[1,2,3]",
        msgspec.json.encode([*bytes(KEYPAIR)[:63], (bytes(KEYPAIR)[63] + 1) % 256]),
        msgspec.json.encode([*bytes(KEYPAIR), 0]),
        msgspec.json.encode([300] * 64),
        msgspec.json.encode([-1] * 64),
        msgspec.json.encode(str(KEYPAIR)),
        b'{"secret":' + NUMBERS + b"}",
        NUMBERS[:-20],
        b"\xff\xfe" + NUMBERS,
    ],
)
def test_a_file_without_a_key_is_refused_without_a_word_of_it(key_file, content):
    key_file.write_bytes(content)
    with pytest.raises(InputFault) as told:
        load_wallet(key_file)
    text = io.StringIO()
    traceback.print_exception(told.value, file=text)
    assert_hidden(text.getvalue())
    assert told.value.__suppress_context__ or told.value.__context__ is None


def test_the_key_is_in_no_text_and_no_pickle(key_file):
    wallet = load_wallet(key_file)
    shown = " ".join((repr(wallet), str(wallet), f"{wallet}", repr(vars(type(wallet))), repr(wallet.sign)))
    assert_hidden(shown)
    for name in dir(wallet):
        assert_hidden(repr(getattr(wallet, name)))
    with pytest.raises(InputFault, match="not to be copied"):
        pickle.dumps(wallet)


def test_the_process_dumps_no_core(key_file):
    code = (
        "import resource, ctypes, sys; from pathlib import Path; from ironcrab.shell.wallet import load_wallet\n"
        "resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))\n"
        f"load_wallet(Path({str(key_file)!r}))\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.split("\n")[0] == "(0, 0) 0"
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] >= -1


@pytest.mark.parametrize("name", KEY_VARIABLES)
def test_other_processes_refuse_a_key_under_a_known_name(name):
    with pytest.raises(InputFault) as told:
        refuse_if_key_in_reach({"PATH": "/bin", name: "anything"}, "market-data")
    assert name in str(told.value)
    assert "market-data" in str(told.value)
    assert "anything" not in str(told.value)


@pytest.mark.parametrize(
    "value",
    [
        str(KEYPAIR),
        NUMBERS.decode(),
        f" {NUMBERS.decode()}\n",
        f'"{KEYPAIR}"',
        base64.b64encode(bytes(KEYPAIR)).decode(),
        bytes(KEYPAIR).hex(),
    ],
)
def test_other_processes_refuse_a_key_by_its_value(value):
    with pytest.raises(InputFault) as told:
        refuse_if_key_in_reach({"INNOCENT": value}, "arb-strategy")
    assert "INNOCENT" in str(told.value)
    assert_hidden(str(told.value))


@pytest.mark.parametrize(
    "value",
    ["", "[", "[1,2]", "x" * 88, "1" * 87, str(KEYPAIR.sign_message(b"x")), str(Keypair.from_seed(bytes(32)).pubkey())],
)
def test_what_is_no_key_is_none(value):
    refuse_if_key_in_reach({"SOME": value}, "market-data")
