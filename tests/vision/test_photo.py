import contextlib
import io
import struct
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile
from tests.pictures import KINDS, encode, exif, matrix_profile, picture, telling

from doggo.core.errors import PhotoError, Rejection
from doggo.vision import owner_step, perceptual, photo

# The least peak signal-to-noise ratio of two decodes that a person cannot tell apart.
ALIKE_DB = 40


def psnr(a_HWC: np.ndarray, b_HWC: np.ndarray) -> float:
    error = ((a_HWC.astype(float) - b_HWC.astype(float)) ** 2).mean()
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


def refused(data: bytes) -> PhotoError:
    with pytest.raises(PhotoError) as caught:
        photo.canonical(data)
    return caught.value


def png_claiming(width_px: int, height_px: int, colour: int = 2, depth: int = 8) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + checksum

    header = struct.pack(">IIBBBBB", width_px, height_px, depth, colour, 0, 0, 0)
    body = zlib.compress(bytes(100))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", body), chunk(b"IEND", b""))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_becomes_upright_rgb_of_the_wanted_short_side(kind: str) -> None:
    image_HWC = photo.canonical(telling(kind))
    assert image_HWC.dtype == np.uint8
    assert image_HWC.shape == (256, 341, 3)
    assert image_HWC.flags["C_CONTIGUOUS"]
    expected = picture().resize((341, 256), Image.Resampling.BICUBIC)
    least = 25 if kind == "GIF" else 30  # a palette of 256 colours is coarse
    assert psnr(image_HWC, np.asarray(expected)) > least


@pytest.mark.parametrize("kind", KINDS)
def test_header_tells_format_and_size_without_decoding(kind: str) -> None:
    header = photo.read_header(telling(kind))
    assert (header.width_px, header.height_px) == (400, 300)
    assert header.format.name == kind


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_in_all_eight_ways(kind: str, orientation: int) -> None:
    undo = (
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_90,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_270,
    )[orientation - 1]
    stored = picture() if undo is None else picture().transpose(undo)
    tags = {"tiffinfo": {274: orientation}} if kind == "TIFF" else {"exif": exif(orientation)}
    data = encode(stored, kind, **tags)
    image_HWC = photo.canonical(data)
    assert image_HWC.shape == (256, 341, 3)
    assert psnr(image_HWC, photo.canonical(encode(picture(), "PNG"))) > 30
    header = photo.read_header(data)
    assert (header.width_px, header.height_px) == (400, 300)


@pytest.mark.parametrize("value", [0, 9, 65_535])
def test_a_senseless_orientation_is_ignored(value: int) -> None:
    plain = photo.canonical(encode(picture(), "JPEG"))
    assert np.array_equal(photo.canonical(encode(picture(), "JPEG", exif=exif(value))), plain)


def test_a_small_picture_is_never_upscaled() -> None:
    assert photo.canonical(encode(picture(90, 70), "PNG")).shape == (70, 90, 3)
    assert photo.canonical(encode(picture(90, 70), "JPEG")).shape == (70, 90, 3)


def test_a_small_jpeg_is_decoded_exactly_as_its_pixels() -> None:
    data = encode(picture(200, 150), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(photo.canonical(data), np.asarray(image))


def test_another_short_side_may_be_asked_for() -> None:
    assert photo.canonical(encode(picture(), "JPEG"), 64).shape == (64, 85, 3)
    assert photo.canonical(encode(picture(1200, 900), "JPEG"), 480).shape == (480, 640, 3)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_scaled_jpeg_decode_is_as_good_as_the_full_one(options: dict[str, object]) -> None:
    large = picture(2900, 2111)
    data = encode(large, "JPEG", quality=92, **options)
    with Image.open(io.BytesIO(data)) as image:
        full = image.convert("RGB").resize((352, 256), Image.Resampling.BICUBIC)
    assert psnr(photo.canonical(data), np.asarray(full)) > ALIKE_DB


def test_a_large_png_is_reduced_like_a_full_resize() -> None:
    large = picture(2900, 2111)
    full = large.resize((352, 256), Image.Resampling.BICUBIC)
    assert psnr(photo.canonical(encode(large, "PNG")), np.asarray(full)) > ALIKE_DB


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("L", "JPEG"), ("L", "PNG"), ("1", "PNG"), ("P", "PNG"), ("LA", "PNG"), ("L", "WEBP")],
)
def test_grey_and_palette_become_rgb(mode: str, kind: str) -> None:
    stored = picture().convert(mode)
    expected = stored.convert("RGB").resize((341, 256), Image.Resampling.BICUBIC)
    image_HWC = photo.canonical(encode(stored, kind))
    assert psnr(image_HWC, np.asarray(expected)) > 25


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "HEIF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    ramp_HW = np.tile(np.linspace(0, 65_535, 200).astype(np.uint16), (100, 1))
    image_HWC = photo.canonical(encode(Image.fromarray(ramp_HW), kind))
    assert image_HWC[0, 0, 0] == 0
    assert abs(int(image_HWC[0, 100, 0]) - 128) <= 1
    assert image_HWC[0, -1, 0] == 255


def test_transparent_parts_lie_on_white() -> None:
    cut_out = picture(200, 100).convert("RGBA")
    alpha_HW = np.zeros((100, 200), np.uint8)
    alpha_HW[:, 100:] = 255
    cut_out.putalpha(Image.fromarray(alpha_HW))
    for kind in ("PNG", "WEBP"):
        image_HWC = photo.canonical(encode(cut_out, kind, lossless=True))
        assert (image_HWC[:, :100] == 255).all()
        assert np.array_equal(image_HWC[:, 100:], np.asarray(picture(200, 100))[:, 100:])


def test_a_transparent_palette_colour_lies_on_white() -> None:
    stored = Image.new("P", (80, 80), 1)
    stored.putpalette([10, 20, 30, 200, 100, 50])
    stored.paste(0, (0, 0, 40, 80))
    image_HWC = photo.canonical(encode(stored, "PNG", transparency=0))
    assert (image_HWC[:, :40] == 255).all()
    assert (image_HWC[:, 40:] == (200, 100, 50)).all()


def test_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("RGB", (100, 100), (200, 30, 40))
    image_HWC = photo.canonical(encode(red.convert("CMYK"), "JPEG", quality=95))
    assert np.abs(image_HWC.astype(int) - (200, 30, 40)).max() <= 6


def test_a_large_cmyk_jpeg_is_decoded_scaled() -> None:
    data = encode(picture(2900, 2111).convert("CMYK"), "JPEG", quality=92)
    full = picture(2900, 2111).resize((352, 256), Image.Resampling.BICUBIC)
    assert psnr(photo.canonical(data), np.asarray(full)) > 30


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
def test_an_embedded_profile_is_turned_into_srgb(kind: str) -> None:
    # The primaries of sRGB with red and green exchanged: a red pixel means green.
    profile = matrix_profile(
        (0.3851, 0.7169, 0.0971), (0.4361, 0.2225, 0.0139), (0.1431, 0.0606, 0.7141)
    )
    data = encode(Image.new("RGB", (96, 96), (250, 10, 10)), kind, icc_profile=profile)
    red, green, blue = photo.canonical(data)[48, 48].astype(int)
    assert green > 235
    assert red < 40
    assert blue < 40


def test_a_broken_profile_is_ignored() -> None:
    plain = photo.canonical(encode(picture(), "JPEG"))
    for profile in (b"no profile", matrix_profile((1, 0, 0), (0, 1, 0), (0, 0, 1))[:200]):
        data = encode(picture(), "JPEG", icc_profile=profile)
        assert np.array_equal(photo.canonical(data), plain)


def test_only_the_first_frame_of_a_film_is_used() -> None:
    other = Image.new("RGB", (400, 300), (0, 0, 255))
    for kind in ("GIF", "TIFF", "WEBP", "AVIF"):
        film = encode(picture(), kind, save_all=True, append_images=[other])
        assert psnr(photo.canonical(film), photo.canonical(encode(picture(), kind))) > 25


def test_a_jpeg_cut_short_is_truncated_and_one_with_a_tail_is_fine() -> None:
    data = encode(picture(), "JPEG")
    for cut in (len(data) // 2, len(data) - 40, len(data) - 2):
        error = refused(data[:cut])
        assert error.rejection is Rejection.TRUNCATED
        assert "send or copy it again" in str(error)
    whole = photo.canonical(data)
    assert np.array_equal(photo.canonical(data + bytes(500)), whole)
    assert np.array_equal(photo.canonical(data + data), whole)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("filler", [bytes(128), b"padded by a camera" * 50])
def test_filler_before_the_end_of_a_jpeg_is_no_damage(
    filler: bytes, options: dict[str, object]
) -> None:
    data = encode(picture(), "JPEG", **options)
    whole = photo.canonical(data)
    assert np.array_equal(photo.canonical(data[:-2] + filler + data[-2:]), whole)


def test_filler_elsewhere_in_a_jpeg_is_damage() -> None:
    data = encode(picture(), "JPEG", restart_marker_rows=1)
    at = data.index(b"\xff\xd1")
    assert refused(data[:at] + bytes(128) + data[at:]).rejection is Rejection.BROKEN
    cut = data[: len(data) // 2] + bytes(128) + b"\xff\xd9"
    assert refused(cut).rejection in {Rejection.TRUNCATED, Rejection.BROKEN}


def test_a_jpeg_whose_scan_is_cut_but_ends_properly_is_refused() -> None:
    data = encode(picture(), "JPEG")
    assert refused(data[: len(data) // 2] + b"\xff\xd9").rejection is Rejection.TRUNCATED


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_in_half_is_refused(kind: str) -> None:
    data = encode(picture(), kind)
    assert refused(data[: len(data) // 2]).rejection in {Rejection.TRUNCATED, Rejection.BROKEN}


@pytest.mark.parametrize(
    ("data", "rejection"),
    [
        (b"", Rejection.EMPTY),
        (b"GIF", Rejection.NOT_A_PICTURE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Rejection.NOT_A_PICTURE),
        (b"%PDF-1.7", Rejection.NOT_A_PICTURE),
        (b"\0\0\1\0\1\0" + bytes(40), Rejection.NOT_A_PICTURE),
        (b"\xff\xd8\xff" + bytes(20 * 2**20), Rejection.TOO_MANY_BYTES),
        (png_claiming(20_001, 10), Rejection.TOO_MANY_PIXELS),
        (png_claiming(10_001, 10_000), Rejection.TOO_MANY_PIXELS),
        (png_claiming(9_000, 9_000, colour=6), Rejection.TOO_MANY_PIXELS),
        (png_claiming(0, 10), Rejection.BROKEN),
        (png_claiming(300, 300), Rejection.TRUNCATED),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_with_its_reason(data: bytes, rejection: Rejection) -> None:
    error = refused(data)
    assert error.rejection is rejection
    assert str(error)[-1] not in ".\n"
    assert "Traceback" not in str(error)


def test_a_refusal_names_the_value_and_the_limit() -> None:
    message = str(refused(png_claiming(20_001, 10)))
    assert "20,001 x 10 px" in message
    assert "20,000" in message


def progressive_with_scans(count: int) -> bytes:
    """A progressive JPEG whose last scan, which refines one plane, comes `count` times."""
    data = encode(picture(2000, 1500), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * count + b"\xff\xd9"


def test_a_bomb_of_scans_is_refused_before_it_is_decoded() -> None:
    assert photo.canonical(progressive_with_scans(1)).shape == (256, 341, 3)
    error = refused(progressive_with_scans(800))
    assert error.rejection is Rejection.TOO_SLOW
    assert "1 s" in str(error)


def test_a_large_plain_jpeg_is_accepted_and_a_progressive_one_refused() -> None:
    large = Image.new("L", (11_000, 9_000), 90)
    assert photo.canonical(encode(large, "JPEG")).shape == (256, 313, 3)
    error = refused(encode(large, "JPEG", progressive=True))
    assert error.rejection is Rejection.TOO_MANY_PIXELS
    assert "plain JPEG" in str(error)


@pytest.mark.parametrize(
    ("kind", "over_px", "options"),
    [("GIF", (5000, 4000), {}), ("TIFF", (4000, 4300), {"compression": "tiff_lzw"})],
)
def test_the_time_to_store_a_picture_as_png_counts(
    kind: str, over_px: tuple[int, int], options: dict[str, str]
) -> None:
    photo.read_header(encode(Image.new("L", (3600, 3000)), kind, **options))
    with pytest.raises(PhotoError) as caught:
        photo.read_header(encode(Image.new("L", over_px), kind, **options))
    assert caught.value.rejection is Rejection.TOO_SLOW


def test_a_long_thin_picture_keeps_its_shape() -> None:
    assert photo.canonical(encode(picture(9_000, 3), "JPEG")).shape == (3, 9_000, 3)
    assert photo.canonical(encode(picture(4_000, 512), "PNG")).shape == (256, 2_000, 3)


def test_threads_get_the_same_pixels() -> None:
    files = [telling(kind) for kind in KINDS]
    expected = [photo.canonical(data).tobytes() for data in files]
    found: list[list[bytes]] = [[] for _ in range(4)]

    def work(into: list[bytes]) -> None:
        into.extend(photo.canonical(data).tobytes() for data in files)

    threads = [threading.Thread(target=work, args=(into,)) for into in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_the_owners_step_is_part_of_the_canonical_photo(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = photo.canonical(encode(picture(), "JPEG"))
    monkeypatch.setattr(owner_step, "process", lambda image_HWC: 255 - image_HWC)
    assert np.array_equal(photo.canonical(encode(picture(), "JPEG")), 255 - plain)


def test_decoder_name_has_versions() -> None:
    names = [part.rsplit("-", 1) for part in photo.decoder_name().split()]
    assert [name for name, _ in names] == ["simplejpeg", "pillow", "heif"]
    assert all(version[0].isdigit() for _, version in names)


def test_decoding_changes_no_setting_of_pillow() -> None:
    picture_of_a_phone = telling("HEIF")  # drawing it may register an opener: ours must not
    limits = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    formats = set(Image.OPEN)
    refused(png_claiming(9_999, 9_999))
    photo.canonical(picture_of_a_phone)
    assert limits == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    assert formats == set(Image.OPEN)


def test_torch_is_not_loaded() -> None:
    code = "import sys, doggo.vision.photo; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_orientations_of_real_files_come_out_alike(hostile_images: Path) -> None:
    # Each file was compressed anew and bears its own number, so that only most pixels agree.
    for shape in ("landscape", "portrait"):
        files = [
            hostile_images / f"exif_samples/orientation_{shape}_{number}.jpg"
            for number in range(1, 9)
        ]
        upright, *others = [photo.canonical(path.read_bytes()) for path in files]
        for other in others:
            assert other.shape == upright.shape
            assert perceptual.same_picture(upright, other)
            assert not perceptual.same_picture(upright, other[:, ::-1])


_ANY = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def only_photo_errors(data: bytes) -> None:
    with contextlib.suppress(PhotoError):
        image_HWC = photo.canonical(data)
        assert image_HWC.ndim == 3
        assert image_HWC.dtype == np.uint8


@_ANY
@given(head=st.sampled_from([telling(kind)[:40] for kind in KINDS]), tail=st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_photo_errors(head: bytes, tail: bytes) -> None:
    only_photo_errors(tail)
    only_photo_errors(head + tail)


@_ANY
@given(data=st.data())
def test_damaged_files_raise_nothing_but_photo_errors(data: st.DataObject) -> None:
    blob = bytearray(telling(data.draw(st.sampled_from(KINDS))))
    places = st.integers(0, min(len(blob) - 1, 2000)) | st.integers(0, len(blob) - 1)
    for place in data.draw(st.lists(places, max_size=6)):
        blob[place] = data.draw(st.integers(0, 255))
    only_photo_errors(bytes(blob[: data.draw(st.integers(0, len(blob)) | st.just(len(blob)))]))


@_ANY
@given(data=st.data())
def test_damaged_real_photos_raise_nothing_but_photo_errors(
    foolbox_photos: list[Path], data: st.DataObject
) -> None:
    blob = bytearray(data.draw(st.sampled_from(foolbox_photos)).read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(blob) - 1), max_size=4)):
        blob[place] = data.draw(st.integers(0, 255))
    only_photo_errors(bytes(blob[: data.draw(st.integers(1, len(blob)) | st.just(len(blob)))]))
