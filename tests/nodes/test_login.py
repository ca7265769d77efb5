"""TLS and credentials to a server that the user names; each refusal is one sentence, and no secret is in it."""

import asyncio
import base64
import binascii
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest
from solders.keypair import Keypair

from ironcrab.domain.fault import InputFault
from ironcrab.mode.nodes import free_port
from ironcrab.shell.bus import connected
from ironcrab.shell.bus_login import read_login
from ironcrab.shell.bus_message import BusFault
from ironcrab.shell.children import bound
from tests.nodes.test_words import run
from tests.nodes.town import needs_server

OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3


def certificates(folder):
    """An authority `ca.pem`, and a server's certificate `s.pem` of it, for loopback."""
    if shutil.which("openssl") is None:
        pytest.skip("skipped: openssl makes the certificates and is not here")
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    (folder / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    for words in (
        ["req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca"],
        ["req", *new, "-keyout", "s.key", "-out", "s.csr", "-subj", "/CN=localhost"],
        ["x509", "-req", "-in", "s.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "s.pem", "-extfile", "ext"],
    ):
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)


def nkey(prefix, key, more=b""):
    """An nkey as text: prefix, key and their CRC-16, in base32."""
    body = bytes(prefix) + more + key
    return base64.b32encode(body + binascii.crc_hqx(body, 0).to_bytes(2, "little")).decode().rstrip("=")


def seed_text(pair):
    """The seed of a user: its first bytes say that it is a seed, and of what."""
    return nkey([SEED | USER >> 5, (USER & 31) << 3], pair.secret())


def token(issuer, prefix, subject, name, claims):
    """A JWT as a NATS server reads it."""

    def part(told):
        return base64.urlsafe_b64encode(told).decode().rstrip("=")

    body = {"jti": name, "iat": 1, "iss": nkey([prefix], bytes(issuer.pubkey())), "name": name, "sub": subject}
    head = part(msgspec.json.encode({"typ": "JWT", "alg": "ed25519-nkey"}))
    text = f"{head}.{part(msgspec.json.encode({**body, 'nats': {**claims, 'version': 2}}))}"
    return f"{text}.{part(bytes(issuer.sign_message(text.encode())))}"


def credentials(folder):
    """The config of a server that knows one account, and the credentials file of a user there."""
    operator, account, user = Keypair(), Keypair(), Keypair()
    own = nkey([OPERATOR], bytes(operator.pubkey()))
    named = nkey([ACCOUNT], bytes(account.pubkey()))
    limits = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1) | {"wildcards": True}
    told = token(operator, OPERATOR, named, "ironcrab", {"type": "account", "limits": limits})
    key = nkey([USER], bytes(user.pubkey()))
    limits = {"subs": -1, "data": -1, "payload": -1}
    jwt = token(account, ACCOUNT, key, "market-data", {"type": "user", "pub": {}, "sub": {}, **limits})
    (folder / "creds").write_text(
        f"-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{seed_text(user)}\n------END USER NKEY SEED------\n"
    )
    (folder / "other").write_text((folder / "creds").read_text().replace(seed_text(user), seed_text(Keypair())))
    trusted = token(operator, OPERATOR, own, "op", {"type": "operator"})
    return f'operator: "{trusted}"\nresolver: MEMORY\nresolver_preload: {{ {named}: "{told}" }}'


class Server:
    """A nats-server with this config; `async with`."""

    def __init__(self, folder, config):
        self.port = free_port()
        (folder / "server.conf").write_text(f"host: 127.0.0.1\nport: {self.port}\n{config}\n")
        self.command = bound([needs_server(), "-c", str(folder / "server.conf"), "-l", str(folder / "server.log")])

    async def __aenter__(self):
        self.process = subprocess.Popen(self.command)  # noqa: ASYNC220 - nothing else runs yet
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return self

    async def __aexit__(self, *_):
        self.process.kill()
        self.process.wait()

    async def said(self, scheme, login, authorities=None):
        """What comes of a connection: "", or the sentence."""
        try:
            told = read_login(f"{scheme}://127.0.0.1:{self.port}", login, authorities)
            async with asyncio.timeout(10), connected(told, "test") as bus:
                await bus.client.flush()
                return ""
        except (InputFault, BusFault) as fault:
            return str(fault)


def test_tls(tmp_path):
    certificates(tmp_path)
    (tmp_path / "login").write_text("anna secretword\n")
    (tmp_path / "wrong").write_text("anna otherword\n")
    files = f'tls {{ cert_file: "{tmp_path}/s.pem", key_file: "{tmp_path}/s.key" }}'
    users = "authorization { users: [ { user: anna, password: secretword } ] }"
    login, authority = tmp_path / "login", tmp_path / "ca.pem"

    async def go():
        async with Server(tmp_path, f"{files}\n{users}") as server:
            assert await server.said("tls", login, authority) == ""
            sentences = [
                (await server.said("tls", login), "not to be trusted"),
                (await server.said("nats", login), "demands TLS; write tls://"),
                (await server.said("tls", tmp_path / "wrong", authority), "refuses the login of anna"),
                (await server.said("tls", login, login), "holds no certificate"),
                (await server.said("nats", login, authority), "goes with tls://"),
            ]
        async with Server(tmp_path, users) as server:
            assert await server.said("nats", login) == ""
            # the password must not go over the wire in plain where TLS was told
            sentences.append((await server.said("tls", login, authority), "does not encrypt"))
        return sentences

    for sentence, words in run(go()):
        assert words in sentence
        assert "word" not in sentence.replace("password", "")


def test_credentials(tmp_path):
    config = credentials(tmp_path)

    async def go():
        async with Server(tmp_path, config) as server:
            assert await server.said("nats", tmp_path / "creds") == ""
            return await server.said("nats", tmp_path / "other")

    assert "refuses the login of market-data" in run(go())


URLS = ("", "localhost", "http://localhost:1", "nats://", "nats://h:port", "nats://h:0", "nats://h:1/x")


@pytest.mark.parametrize("url", URLS)
def test_what_is_no_place_of_a_bus(tmp_path, url):
    (tmp_path / "login").write_text("a b")
    with pytest.raises(InputFault, match="no place of a bus"):
        read_login(url, tmp_path / "login")


def test_files_that_hold_no_login(tmp_path):
    url = "nats://localhost:1"
    with pytest.raises(InputFault, match="stand in a file") as told:
        read_login("nats://a:hidden@localhost:1", tmp_path)
    assert "hidden" not in str(told.value)
    pieces = {"": "one line", "a": "one line", "a b c": "one line", "a.b c": "one line"}
    jwt = "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n"
    block = jwt + "-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------"
    named = base64.urlsafe_b64encode(b'{"name":"a"}').decode()
    strange = base64.urlsafe_b64encode(b'{"name":"a.*"}').decode()
    pieces[block.format("x", "SUA")] = "names no user"
    pieces[block.format(f"x.{strange}.y", "SUA")] = "letters, digits"
    pieces[block.format(f"x.{named}.y", "SUA")] = "no seed"
    for text, words in pieces.items():
        (tmp_path / "login").write_text(text)
        with pytest.raises(InputFault, match=words):
            read_login(url, tmp_path / "login")
    (tmp_path / "login").write_bytes(b"\xff")
    with pytest.raises(InputFault, match="cannot be read"):
        read_login(url, tmp_path / "login")
    with pytest.raises(InputFault, match="cannot be read"):
        read_login(url, Path("/nowhere"))
    (tmp_path / "login").write_text("a hidden")
    assert "hidden" not in repr(read_login(url, tmp_path / "login"))
