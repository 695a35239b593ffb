"""Opening figures: what is taken, what is refused with which code, and that nothing else ever happens."""

from __future__ import annotations

import hashlib
import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from llava_graph.figure import FigureError, FigureLimits, open_figure

# Pillow warns about what these tests stage.
pytestmark = [
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),
]

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def landscape() -> Image.Image:
    """24 × 16, red in the left upper corner, green in the right upper one, blue below."""
    image = Image.new("RGB", (24, 16), BLUE)
    image.paste(RED, (0, 0, 12, 8))
    image.paste(GREEN, (12, 0, 24, 8))
    return image


def refused(data: bytes, limits: FigureLimits | None = None) -> str:
    with pytest.raises(FigureError) as caught:
        open_figure(data, limits or FigureLimits())
    assert caught.value.message
    return caught.value.code


def png_claiming(width: int, height: int) -> bytes:
    """A PNG whose header is right and which holds next to no pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_each_format_is_taken(kind: str) -> None:
    figure = open_figure(encoded(landscape(), kind))
    assert (figure.width, figure.height, figure.image.mode) == (24, 16, "RGB")
    assert np.allclose(np.asarray(figure.image)[2, 2], RED, atol=40)


def test_id_is_of_size_and_pixels_alone() -> None:
    image = landscape()
    figures = [open_figure(encoded(image, kind)) for kind in ("PNG", "TIFF")]
    figures.append(open_figure(encoded(image, "WEBP", lossless=True)))
    expected = hashlib.sha256(struct.pack(">II", 24, 16) + image.tobytes()).hexdigest()
    assert {figure.id for figure in figures} == {expected}
    assert figures[0] == figures[1]


def test_same_bytes_in_another_shape_are_another_figure() -> None:
    tall, wide = Image.new("RGB", (16, 24), RED), Image.new("RGB", (24, 16), RED)
    assert open_figure(encoded(tall)).id != open_figure(encoded(wide)).id


def test_png_of_a_figure_is_the_same_figure() -> None:
    figure = open_figure(encoded(landscape(), "JPEG"))
    assert open_figure(figure.png()) == figure


# Colours


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_and_not_clipped(kind: str) -> None:
    values = np.array([[0, 257, 32896, 65535]] * 8, dtype=np.uint16).repeat(2, axis=1)
    figure = open_figure(encoded(Image.fromarray(values), kind))
    assert np.asarray(figure.image)[0, ::2, 0].tolist() == [0, 1, 128, 255]


def test_see_through_value_of_16_bit_grey_is_white() -> None:
    values = np.full((8, 8), 1000, dtype=np.uint16)
    values[0, 0] = 30000
    figure = open_figure(encoded(Image.fromarray(values), "PNG", transparency=1000))
    assert np.asarray(figure.image)[0, :2, 0].tolist() == [117, 255]


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_deep_grey_stretches_from_its_smallest_to_its_largest_value(dtype: Any) -> None:
    values = np.array([[-100, 0, 120, 300]] * 8, dtype=dtype).repeat(2, axis=1)
    figure = open_figure(encoded(Image.fromarray(values), "TIFF"))
    assert np.asarray(figure.image)[0, ::2, 0].tolist() == [0, 64, 140, 255]


@pytest.mark.parametrize(("value", "grey"), [(np.nan, 255), (np.inf, 255), (3.5, 0)])
def test_float_grey_without_a_range_is_flat(value: float, grey: int) -> None:
    figure = open_figure(encoded(Image.fromarray(np.full((8, 8), value, np.float32)), "TIFF"))
    assert set(np.asarray(figure.image).flat) == {grey}


def test_not_a_number_among_numbers_is_white() -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    values[3, 3] = np.nan
    figure = open_figure(encoded(Image.fromarray(values), "TIFF"))
    assert figure.image.getpixel((3, 3)) == WHITE
    assert figure.image.getpixel((0, 0)) == (0, 0, 0)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_becomes_white(mode: str) -> None:
    image = Image.new(mode, (16, 16))  # black and invisible
    image.paste(Image.new(mode, (16, 8), (*([0] * (len(mode) - 1)), 255)), (0, 8))
    figure = open_figure(encoded(image))
    assert figure.image.getpixel((4, 4)) == WHITE
    assert figure.image.getpixel((4, 12)) == (0, 0, 0)


def test_half_transparency_mixes_with_white() -> None:
    figure = open_figure(encoded(Image.new("RGBA", (16, 16), (0, 0, 0, 128))))
    assert figure.image.getpixel((4, 4)) == (127, 127, 127)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_see_through_colour_of_a_palette_becomes_white(kind: str) -> None:
    image = Image.new("P", (16, 16), 0)
    image.putpalette([*RED, *BLUE])
    image.paste(1, (0, 8, 16, 16))
    figure = open_figure(encoded(image, kind, transparency=0))
    assert figure.image.getpixel((4, 4)) == WHITE
    assert figure.image.getpixel((4, 12)) == BLUE


def test_see_through_colour_of_an_rgb_png_becomes_white() -> None:
    figure = open_figure(encoded(landscape(), "PNG", transparency=RED))
    assert figure.image.getpixel((2, 2)) == WHITE
    assert figure.image.getpixel((20, 2)) == GREEN


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_converted(kind: str) -> None:
    figure = open_figure(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), kind))
    red, green, blue = np.asarray(figure.image)[8, 8]
    assert red > 200 and green < 60 and blue < 60


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF"])
def test_one_bit_is_black_and_white(kind: str) -> None:
    image = Image.new("1", (16, 16), 1)
    image.paste(0, (0, 0, 16, 8))
    figure = open_figure(encoded(image, kind))
    assert figure.image.getpixel((4, 4)) == (0, 0, 0)
    assert figure.image.getpixel((4, 12)) == WHITE


# Frames and orientation


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_first_frame_of_an_animation_or_stack_is_the_figure(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    figure = open_figure(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert figure.image.getpixel((8, 8)) == RED


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_figure_is_upright_whatever_its_exif_says(kind: str, orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = landscape().transpose(undo[orientation]) if orientation in undo else landscape()
    exif = Image.Exif()
    exif[0x0112] = orientation
    figure = open_figure(encoded(stored, kind, exif=exif))
    pixels = np.asarray(figure.image)
    assert (figure.width, figure.height) == (24, 16)
    assert np.allclose(pixels[2, 2], RED, atol=60)
    assert np.allclose(pixels[2, 21], GREEN, atol=60)
    assert np.allclose(pixels[13, 12], BLUE, atol=60)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_broken_exif_does_not_refuse_a_good_image(exif: bytes) -> None:
    assert open_figure(encoded(landscape(), "JPEG", exif=exif)).width == 24


# Refusals


def test_no_bytes_are_an_empty_image() -> None:
    assert refused(b"") == "image_empty"


def test_too_many_bytes_are_refused_unread() -> None:
    assert refused(b"x" * 101, FigureLimits(max_bytes=100)) == "image_too_large"


@pytest.mark.parametrize("side", [10_000, 20_000, 2**31 - 1])
def test_header_that_claims_many_pixels_is_refused_unread(side: int) -> None:
    bomb = png_claiming(side, side)
    assert len(bomb) < 1000
    assert refused(bomb) == "image_too_large"


def test_real_decompression_bomb_is_refused() -> None:
    bomb = encoded(Image.new("1", (12_000, 12_000)))
    assert len(bomb) < 100_000
    assert refused(bomb) == "image_too_large"


@pytest.mark.filterwarnings("error")
def test_bomb_is_refused_also_where_warnings_are_errors() -> None:
    assert refused(png_claiming(10_000, 10_000)) == "image_too_large"


def test_limit_of_pixels_is_inclusive() -> None:
    image = encoded(Image.new("L", (20, 10)))
    assert open_figure(image, FigureLimits(max_pixels=200)).width == 20
    assert refused(image, FigureLimits(max_pixels=199)) == "image_too_large"


def test_side_below_the_limit_is_too_small() -> None:
    assert refused(encoded(Image.new("L", (100, 7)))) == "image_too_small"
    assert open_figure(encoded(Image.new("L", (100, 8)))).height == 8


@pytest.mark.parametrize(
    "data",
    [
        b"hello",
        b"\0" * 1000,
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"/>',
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
        encoded(landscape(), "BMP"),
        encoded(landscape(), "ICO"),
        encoded(landscape(), "PPM"),
    ],
    ids=["text", "zeros", "pdf", "svg", "eps", "bmp", "ico", "ppm"],
)
def test_what_is_none_of_the_formats_is_undecodable(data: bytes) -> None:
    assert refused(data) == "image_undecodable"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_image_is_undecodable(kind: str, share: float) -> None:
    noise = np.random.default_rng(7).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    assert refused(data[: int(len(data) * share)]) == "image_undecodable"


def test_opening_leaves_the_process_wide_settings_of_pillow_alone() -> None:
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)
    open_figure(encoded(landscape()))
    refused(png_claiming(10_000, 10_000))
    refused(b"nothing")
    assert before == (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES)


def _samples() -> list[bytes]:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        encoded(noise, "PNG", exif=exif),
        encoded(noise.quantize(16), "PNG", transparency=3),
        encoded(noise.convert("I;16"), "PNG"),
        encoded(noise, "PNG", save_all=True, append_images=[noise.rotate(5)]),
        encoded(noise, "JPEG", exif=exif),
        encoded(noise, "JPEG", progressive=True),
        encoded(noise.convert("CMYK"), "JPEG"),
        encoded(noise, "WEBP", exif=exif),
        encoded(noise, "WEBP", lossless=True),
        encoded(noise.quantize(16), "GIF", save_all=True, append_images=[noise.rotate(9).quantize(16)]),
        *(encoded(noise, "TIFF", compression=c) for c in ("raw", "tiff_lzw", "tiff_deflate", "jpeg", "packbits")),
        encoded(noise.convert("1"), "TIFF", compression="group4"),
        encoded(noise.convert("F"), "TIFF"),
    ]


@settings(max_examples=400)
@given(data=st.data())
def test_damaged_file_is_a_figure_or_a_figure_error_and_nothing_else(data: st.DataObject) -> None:
    file = bytearray(data.draw(st.sampled_from(_SAMPLES)))
    if data.draw(st.booleans()):
        file = file[: data.draw(st.integers(0, len(file)))]
    # Headers and directories stand at both ends: damage there reaches more of the decoders than damage in the pixels.
    places = st.integers(0, 150) | st.integers(-300, -1) | st.integers(0, 10_000)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), max_size=8)):
        if -len(file) <= place < len(file):
            file[place] = value
    try:
        figure = open_figure(bytes(file))
    except FigureError as error:
        assert error.code in ("image_empty", "image_undecodable", "image_too_large", "image_too_small")
    else:
        assert figure.image.mode == "RGB"
        assert len(figure.id) == 64


@given(st.binary(max_size=300))
def test_any_bytes_are_a_figure_error(data: bytes) -> None:
    with pytest.raises(FigureError):
        open_figure(data)


_SAMPLES = _samples()
