"""Files of others: plain, .zst and .gz give the same bytes; one that was cut short gives what is whole in it."""

import gzip

import pytest
import zstandard

from ironcrab.domain.fault import InputFault
from ironcrab.shell.files import CHUNK, chunks, lines

PLAIN = b"".join(b'{"line": %d}\n' % number for number in range(200_000))
HALF = len(PLAIN) // 2
GZ = gzip.compress(PLAIN, mtime=0)
ZST = zstandard.ZstdCompressor(write_checksum=True).compress(PLAIN)


def read(path, data):
    path.write_bytes(data)
    return b"".join(chunks(path))


@pytest.mark.parametrize(
    "data",
    [
        PLAIN,
        GZ,
        ZST,
        gzip.compress(PLAIN[:HALF], mtime=0) + gzip.compress(PLAIN[HALF:], mtime=0),
        gzip.compress(PLAIN[:HALF], mtime=0) + gzip.compress(PLAIN[HALF:], mtime=0) + bytes(512),
        gzip.compress(b"", mtime=0) + GZ,
        GZ[:-8],
    ],
    ids=["plain", "gz", "zst", "two members", "padded", "an empty member first", "without its checksum"],
)
def test_the_first_bytes_tell_and_the_name_does_not_matter(data, tmp_path):
    assert read(tmp_path / "file.bin", data) == PLAIN
    assert b"".join(lines(tmp_path / "file.bin")) == PLAIN


@pytest.mark.parametrize("whole", [GZ, ZST], ids=["gz", "zst"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_file_cut_short_gives_what_is_whole(whole, part, tmp_path):
    found = read(tmp_path / "cut", whole[: int(len(whole) * part)])
    assert PLAIN.startswith(found)
    assert len(found) > len(PLAIN) * (part - 0.1) - CHUNK


@pytest.mark.parametrize("whole", [GZ, ZST], ids=["gz", "zst"])
def test_one_flipped_bit_is_one_sentence(whole, tmp_path):
    bent = bytearray(whole)
    bent[len(bent) // 2] ^= 4
    with pytest.raises(InputFault, match=r"bent is damaged: .*; fetch it again"):
        read(tmp_path / "bent", bytes(bent))


def test_a_little_that_inflates_to_much_is_read_in_pieces(tmp_path):
    (tmp_path / "bomb").write_bytes(gzip.compress(bytes(1 << 26), mtime=0))
    sizes = [len(piece) for piece in chunks(tmp_path / "bomb")]
    assert sum(sizes) == 1 << 26
    assert max(sizes) <= CHUNK
