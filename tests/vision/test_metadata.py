import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.pictures import KINDS, SECRETS, XMP, encode, exif, picture, stripped, telling

from doggo.core.errors import PhotoError, Rejection
from doggo.vision import png
from doggo.vision.photo import canonical, prepare

_GPS = 0x8825
_ORIENTATION = 0x0112
_EXTENSIONS = {
    "JPEG": "jpg",
    "PNG": "png",
    "WEBP": "webp",
    "GIF": "png",
    "TIFF": "png",
    "BMP": "bmp",
    "AVIF": "avif",
    "HEIF": "heic",
}


def told(data: bytes) -> dict[int, object]:
    """The EXIF that Pillow or pillow_heif still reads, GPS under its own tag."""
    if data[4:8] == b"ftyp":
        found = pillow_heif.open_heif(data) if b"heic" in data[:32] else None
        tags = Image.Exif()
        if found is not None:
            tags.load(found.info["exif"] or b"")
        else:
            with Image.open(io.BytesIO(data)) as image:
                tags = image.getexif()
    else:
        with Image.open(io.BytesIO(data)) as image:
            tags = image.getexif()
    return {**dict(tags), **({_GPS: tags.get_ifd(_GPS)} if tags.get_ifd(_GPS) else {})}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_told_any_more(kind: str) -> None:
    data = telling(kind)
    clean, extension = stripped(data)
    assert extension == _EXTENSIONS[kind]
    assert told(clean) == {}
    for secret in SECRETS:
        assert secret not in clean
    assert b"adobe:ns:meta" not in clean.replace(b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>', b"")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_the_test_files_do_tell_everything(kind: str) -> None:
    data = telling(kind)
    assert told(data)[_GPS]
    assert all(secret in data for secret in SECRETS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_pixels_stay_bit_for_bit(kind: str, orientation: int) -> None:
    data = telling(kind, orientation)
    clean, _ = stripped(data)
    assert np.array_equal(canonical(clean), canonical(data))


@pytest.mark.parametrize("kind", KINDS)
def test_doing_it_again_changes_nothing(kind: str) -> None:
    clean, extension = stripped(telling(kind, 6))
    assert stripped(clean) == (clean, extension)


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_come_along_in_one_pass(kind: str) -> None:
    data = telling(kind, 3)
    assert np.array_equal(prepare(data).image_HWC, canonical(data))


@pytest.mark.parametrize("kind", ["GIF", "TIFF"])
@pytest.mark.parametrize("short_side_px", [256, 700])
def test_prepare_gives_the_pixels_of_its_png(kind: str, short_side_px: int) -> None:
    data = encode(picture(2101, 1603), kind)  # large enough to be reduced band by band
    prepared = prepare(data, short_side_px)
    assert np.array_equal(prepared.image_HWC, canonical(data, short_side_px))
    assert np.array_equal(prepared.image_HWC, canonical(prepared.clean, short_side_px))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_the_only_tag_left(kind: str) -> None:
    assert told(stripped(telling(kind, 6))[0]) == {_ORIENTATION: 6}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "HEIF"])
def test_other_readers_find_the_picture_unchanged(kind: str) -> None:
    def pixels(data: bytes) -> np.ndarray:
        if kind == "HEIF":
            return np.asarray(pillow_heif.open_heif(data).to_pillow())
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)

    data = telling(kind)
    assert np.array_equal(pixels(stripped(data)[0]), pixels(data))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_the_colour_profile_stays(kind: str) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    clean, _ = stripped(encode(picture(), kind, icc_profile=profile, exif=exif()))
    with Image.open(io.BytesIO(clean)) as image:
        assert image.info["icc_profile"] == profile


def test_a_cmyk_jpeg_keeps_the_marker_that_says_how_to_read_it() -> None:
    data = encode(picture().convert("CMYK"), "JPEG")
    clean, _ = stripped(data)
    assert b"Adobe" in clean
    assert np.array_equal(canonical(clean), canonical(data))


def test_the_thumbnail_of_a_jfif_header_goes() -> None:
    data = encode(picture(), "JPEG")
    assert data[2:4] == b"\xff\xe0"
    thumbnail = bytes([2, 2]) + bytes(range(12))
    header = data[6:18] + thumbnail
    fat = data[:2] + b"\xff\xe0" + struct.pack(">H", len(header) + 2) + header + data[20:]
    clean, _ = stripped(fat)
    assert thumbnail not in clean
    assert np.array_equal(canonical(clean), canonical(fat))


def test_a_second_picture_in_a_jpeg_goes() -> None:
    data = encode(picture(), "MPO", save_all=True, append_images=[picture(seed=2)])
    clean, extension = stripped(data)
    assert extension == "jpg"
    assert clean.count(b"\xff\xd8\xff") == 1
    assert b"MPF" not in clean
    assert np.array_equal(canonical(clean), canonical(data))


def test_a_film_appended_to_a_heic_goes() -> None:
    data = encode(picture(), "HEIF") + struct.pack(">I4s", 8 + 12, b"mpvd") + b"taken by Ada"
    clean, _ = stripped(data)
    assert len(clean) == len(data)
    assert b"taken by Ada" not in clean
    assert b"mpvd" not in clean


def test_bytes_of_a_heic_that_no_item_claims_are_zeroed() -> None:
    data = encode(picture(), "HEIF") + struct.pack(">I4s", 8 + 12, b"mdat") + b"taken by Ada"
    clean, _ = stripped(data)
    assert clean.endswith(b"mdat" + bytes(12))
    assert np.array_equal(canonical(clean), canonical(data))


def test_a_heic_whose_table_promises_a_billion_items_is_refused() -> None:
    data = telling("HEIF")
    place = data.index(b"iloc") + 4
    assert data[place] < 2  # its count has two bytes
    count = place + 6
    absurd = data[:count] + b"\xff\xff" + data[count + 2 :]
    with pytest.raises(PhotoError) as caught:
        stripped(absurd)
    assert caught.value.rejection is Rejection.BROKEN


def test_an_animated_png_loses_its_other_frames() -> None:
    film = encode(picture(), "PNG", save_all=True, append_images=[picture(seed=2)])
    clean, _ = stripped(film)
    assert b"fdAT" not in clean
    assert np.array_equal(canonical(clean), canonical(encode(picture(), "PNG")))


def test_of_many_profiles_of_a_png_the_first_stays() -> None:
    data = encode(picture(), "PNG", icc_profile=b"first")
    start = data.index(b"iCCP") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4])
    bomb = png.make_chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1_000_000)))
    clean, _ = stripped(data[:end] + bomb * 50 + data[end:])
    assert clean == stripped(data)[0]


def test_gif_and_tiff_become_a_png_of_full_size() -> None:
    for kind in ("GIF", "TIFF"):
        clean, _ = stripped(telling(kind))
        with Image.open(io.BytesIO(clean)) as image:
            assert (image.format, image.size, image.mode) == ("PNG", (400, 300), "RGB")
            if kind == "TIFF":
                assert np.array_equal(np.asarray(image), np.asarray(picture()))


def test_a_tiff_too_large_as_png_is_refused_in_words() -> None:
    rng = np.random.default_rng(1)
    noise = Image.fromarray(rng.integers(0, 256, (2_700, 2_700, 3), dtype=np.uint8))
    data = encode(noise, "TIFF", compression="jpeg", quality=40)
    with pytest.raises(PhotoError, match="20 MiB") as caught:
        stripped(data)
    assert caught.value.rejection is Rejection.TOO_MANY_BYTES


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(PhotoError) as caught:
        stripped(b"hello")
    assert caught.value.rejection is Rejection.NOT_A_PICTURE


def test_location_of_real_files_goes(hostile_images: Path) -> None:
    files = sorted((hostile_images / "exif_samples").glob("gps_*.jpg"))
    assert files
    for path in files:
        data = path.read_bytes()
        assert told(data)[_GPS]
        clean, _ = stripped(data)
        assert told(clean) == {}
        assert b"NIKON" not in clean
        assert np.array_equal(canonical(clean), canonical(data))


def test_real_photos_stay_bit_for_bit(shared_photos: Path) -> None:
    for path in sorted(shared_photos.glob("*/*"))[::100]:
        data = path.read_bytes()
        assert np.array_equal(canonical(stripped(data)[0]), canonical(data)), path.name


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_files_keep_their_pixels_or_are_refused(data: st.DataObject) -> None:
    blob = bytearray(telling(data.draw(st.sampled_from(KINDS)), 6))
    places = st.integers(0, min(len(blob) - 1, 1500)) | st.integers(0, len(blob) - 1)
    for place in data.draw(st.lists(places, min_size=1, max_size=4)):
        blob[place] = data.draw(st.integers(0, 255))
    damaged = bytes(blob)
    try:
        clean, _ = stripped(damaged)
        expected = canonical(damaged)
    except PhotoError:
        return
    assert np.array_equal(canonical(clean), expected)


@given(orientation=st.integers(1, 8), junk=st.binary(max_size=60))
@settings(max_examples=40, deadline=None)
def test_xmp_and_comments_of_any_content_go(orientation: int, junk: bytes) -> None:
    data = encode(picture(96, 80), "JPEG", exif=exif(orientation), xmp=XMP + junk, comment=junk)
    clean, _ = stripped(data)
    assert XMP not in clean
    assert np.array_equal(canonical(clean), canonical(data))
