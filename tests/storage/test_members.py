"""Members of archives are read where they lie, and an archive that lies is refused."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.archives import END, header, padded, write_tar, write_zip

from doggo.core.errors import InputError
from doggo.storage.members import entries, is_archive

NAMES = ("Images/a.jpg", "b", "deep/" * 60 + "c.jpg", "Hündchen.jpg")  # the third needs a header
FILES = [(name, name.encode() * 1000) for name in NAMES]


def read(path: Path, scratch: Path | None = None) -> dict[str, bytes]:
    return {
        entry.name: b"".join(entry.member.blocks())
        for entry in entries(path, scratch)
        if entry.member is not None
    }


def others(path: Path) -> dict[str, str]:
    return {entry.name: entry.what for entry in entries(path, None) if entry.member is None}


@pytest.mark.parametrize("style", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_every_style_are_read(tmp_path: Path, style: int) -> None:
    files = FILES if style != tarfile.USTAR_FORMAT else [f for f in FILES if len(f[0]) < 100]
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w:", format=style) as tar:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert is_archive(path)
    assert read(path) == dict(files)


def test_a_compressed_tar_is_inflated_into_the_scratch_folder(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "photos.bin", FILES, "w:gz")
    assert is_archive(path)
    assert read(path, tmp_path / "scratch") == dict(FILES)
    with pytest.raises(InputError, match="unpack it"):
        read(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged or cut off"):
        read(path, tmp_path / "scratch")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_is_read(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "a.zip", dict(FILES), method)
    assert is_archive(path)
    assert read(path) == dict(FILES)


def test_an_archive_that_inflates_beyond_measure_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    megabyte = bytes(1 << 20)
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(header("a", 70 << 20))
        for _ in range(70):
            file.write(megabyte)
    with pytest.raises(InputError, match="beyond all measure"):
        read(path, tmp_path / "scratch")


def test_links_devices_and_folders_are_no_files(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    kinds = {
        "soft": tarfile.SYMTYPE,
        "hard": tarfile.LNKTYPE,
        "device": tarfile.CHRTYPE,
        "pipe": tarfile.FIFOTYPE,
        "folder": tarfile.DIRTYPE,
    }
    parts = [header(name, 0, kind) for name, kind in kinds.items()]
    path.write_bytes(b"".join(parts) + header("x", 3) + padded(b"abc") + END)
    assert read(path) == {"x": b"abc"}
    assert others(path) == {
        "soft": "a link",
        "hard": "a link",
        "device": "a device",
        "pipe": "a device",
    }


def test_a_linked_and_an_encrypted_member_of_a_zip_are_no_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("secret", b"x" * 40)
        archive.writestr("odd", b"x" * 40, compress_type=zipfile.ZIP_LZMA)
    data = bytearray(path.read_bytes())
    place = data.rfind(b"secret") - 46  # its record in the central directory
    data[place + 8] |= 1
    path.write_bytes(data)
    assert read(path) == {}
    assert others(path) == {
        "link": "a link",
        "secret": "encrypted",
        "odd": "compressed in an uncommon way",
    }


def hostile_tars() -> Iterator[tuple[str, bytes]]:
    good = header("a", 3) + padded(b"abc")
    yield "cut in a file", good + header("b", 5000) + b"x" * 700
    yield "cut in a header", good + header("b", 5)[:200]
    yield "no end", good
    yield "a size beyond the file", header("a", 10**12) + END
    negative = bytearray(header("a", 0))
    negative[124:136] = b"\xff" * 12  # base 256: minus one
    negative[148:156] = b" " * 8
    negative[148:156] = b"%06o\0 " % sum(negative)
    yield "a size below nothing", bytes(negative) + END
    yield "garbage in the middle", good + b"\x01" * 512 + good + END
    yield "a name of a megabyte", header("n", 1 << 20, b"L") + b"n" * (1 << 20) + good + END
    pax = b"19 size=9999999999\n"
    yield "a size in words", header("p", len(pax), b"x") + padded(pax) + good + END
    pax = b"14 size=twelve\n"
    yield "a size that is none", header("p", len(pax), b"x") + padded(pax) + good + END


@pytest.mark.parametrize(("what", "data"), list(hostile_tars()))
def test_a_tar_that_lies_or_is_cut_off_is_refused(tmp_path: Path, what: str, data: bytes) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.tar"):
        read(path)


def test_a_size_said_before_a_long_name_is_that_of_the_file(tmp_path: Path) -> None:
    pax = b"10 size=3\n"
    parts = [header("p", len(pax), b"x"), padded(pax), header("n", 2, b"L"), padded(b"zz")]
    path = tmp_path / "a.tar"
    path.write_bytes(b"".join(parts) + header("a", 0) + padded(b"abc") + END)
    assert read(path) == {"zz": b"abc"}


def test_a_thousand_headers_before_a_file_are_no_recursion(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    name = header("n", 2, b"L") + padded(b"zz")
    path.write_bytes(name * 5000 + header("a", 3) + padded(b"abc") + END)
    assert read(path) == {"zz": b"abc"}


@given(st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=20))
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_damaged_tar_is_read_or_refused(tmp_path: Path, edits: list[tuple[int, int]]) -> None:
    path = write_tar(tmp_path / "a.tar", [(f"{n}.jpg", bytes([n]) * 600) for n in range(3)])
    data = bytearray(path.read_bytes())
    for place, value in edits:
        data[place % len(data)] = value
    path.write_bytes(data)
    with suppress(InputError):
        assert all(len(name) <= 100 for name in read(path))


def test_a_damaged_zip_is_refused_and_a_damaged_member_cannot_be_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", dict(FILES))
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(InputError, match="damaged"):
        read(path)
    path.write_bytes(whole[:45] + b"\xff\xff\xff" + whole[48:])
    first = next(iter(entries(path, None)))
    assert first.member is not None
    with pytest.raises(OSError, match="damaged"):
        list(first.member.blocks())


def test_flipped_bytes_of_a_zip_are_read_or_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {f"{n}.jpg": bytes([n]) * 300 for n in range(4)})
    good, rng = path.read_bytes(), random.Random(5)
    for _ in range(1000):
        data = bytearray(good)
        for _ in range(rng.randint(1, 6)):
            data[-rng.randint(1, 300)] = rng.randrange(256)
        path.write_bytes(data)
        with suppress(InputError, OSError):  # and nothing else
            read(path)


def test_a_member_of_a_zip_that_holds_more_than_it_says_cannot_be_read(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", {"a": b"x" * 5000})
    data = bytearray(path.read_bytes())
    place = data.rfind(b"PK\x01\x02")
    data[place + 24 : place + 28] = (10).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(OSError, match="damaged"):
        read(path)


def test_only_what_is_an_archive_is_one(tmp_path: Path) -> None:
    for name, data in {
        "a.jpg": b"\xff\xd8\xff",
        "zeros": bytes(2048),
        "b.svgz": b"\x1f\x8b",
    }.items():
        (tmp_path / name).write_bytes(data)
        assert not is_archive(tmp_path / name)
    (tmp_path / "images.tar").write_bytes(b"<!doctype html><title>Log in</title>")
    with pytest.raises(InputError, match="is called an archive but is none"):
        is_archive(tmp_path / "images.tar")
