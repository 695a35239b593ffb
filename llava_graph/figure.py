"""Decodes images: from untrusted bytes to upright RGB pixels, with an id that is a hash of the pixels alone.

Everything that gets an image from outside opens it here, once: `open_figure` checks size before it decodes, takes only
the formats it names, and answers bad input with a `FigureError` that has a stable code, never with anything else.
Pillow's process-wide settings stay as they are. This module knows no HTTP and no OCR.

    FigureError
        image_empty        no bytes
        image_too_large    more bytes or pixels than allowed
        image_too_small    a side shorter than allowed
        image_undecodable  not one of the formats, broken, or truncated
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from PIL import ExifTags, Image, UnidentifiedImageError

if TYPE_CHECKING:
    import numpy as np

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "TIFF")
MIME_TYPES = tuple(f"image/{name.lower()}" for name in FORMATS)
"""Given to Pillow by name: its other decoders, some of which start programs, are never tried."""

FigureErrorCode = Literal["image_empty", "image_too_large", "image_too_small", "image_undecodable"]

# How an EXIF orientation is undone (EXIF 2.32, 4.6.4 A).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

MAX_SCANS = 100
"""Passes over the whole image that one JPEG may ask for; encoders make about ten. To ask for a pass over 40 megapixels
takes 70 bytes; to do it, a tenth of a second."""
_SMALL_PIXELS = 2_000_000
"""Which are encoded faster than anything could be estimated."""
_START_OF_SCAN = b"\xff\xda"


class FigureError(ValueError):
    """The bytes are not a figure that we take. `code` is stable, `message` is for the person who sent them."""

    def __init__(self, code: FigureErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: FigureErrorCode = code
        self.message = message


@dataclass(frozen=True, slots=True)
class FigureLimits:
    """What is refused unread. Decoding needs up to about 12 bytes a pixel, so 40 megapixels are half a gigabyte."""

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 40_000_000
    min_side: int = 8


@dataclass(frozen=True, slots=True)
class Figure:
    """A decoded figure. Two files with the same pixels are the same figure."""

    id: str
    """SHA-256, in hexadecimal, of width, height (four bytes each, big-endian) and the RGB bytes row by row."""
    image: Image.Image = field(compare=False, repr=False)
    """Mode RGB, upright, on white."""

    @property
    def width(self) -> int:
        return self.image.width

    @property
    def height(self) -> int:
        return self.image.height

    def png(self) -> bytes:
        """The pixels without loss, for the OCR queue and the engine. Some 10 ms a megapixel: run it in a thread."""
        buffer = io.BytesIO()
        # Level 1: figures are flat, level 6 saves a few per cent for several times the time.
        self.image.save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()


def open_figure(data: bytes, limits: FigureLimits = FigureLimits()) -> Figure:
    """The figure in a PNG, JPEG, WebP, GIF or TIFF file; of an animation or a stack, its first frame.

    Upright by EXIF; transparency on white; 16-bit grey scaled to 8 bits; other grey depths (32-bit, float) stretched
    from their smallest to their largest value; palette and CMYK converted. Raises FigureError and nothing else.
    Blocks for as long as decoding takes: callers in an event loop run it in a thread.
    """
    if not data:
        raise FigureError("image_empty", "The image is empty: it has no bytes.")
    if len(data) > limits.max_bytes:
        raise FigureError(
            "image_too_large", f"The image has {len(data)} bytes; at most {limits.max_bytes} are accepted."
        )
    try:
        _check_scans(data)
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check_size(image.width, image.height, limits)
            image.load()
            upright = _upright(_rgb_on_white(image), image)
    except FigureError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        # Pillow's own bound lies above ours unless `max_pixels` was raised beyond it; the warning comes as an
        # exception where the process turns warnings into errors.
        raise FigureError("image_too_large", "The image has too many pixels.") from error
    except UnidentifiedImageError as error:
        raise FigureError(
            "image_undecodable", "This is not a PNG, JPEG, WebP, GIF or TIFF image, or its header is broken."
        ) from error
    except Exception as error:
        raise FigureError("image_undecodable", "The image is broken or truncated.") from error
    digest = hashlib.sha256(struct.pack(">II", upright.width, upright.height))
    digest.update(upright.tobytes())
    return Figure(digest.hexdigest(), upright)


def within_bytes(figure: Figure, max_png_bytes: int) -> bytes:
    """`figure.png()`, or that of the figure in fewer pixels where it would have more bytes, its sides in proportion.

    Only what is all noise or photograph reaches a bound of megabytes: a drawn figure of 40 megapixels has two or three.
    """
    image = figure.image
    size_bytes = _estimated_png_bytes(image)
    while True:
        if size_bytes > max_png_bytes:
            # Noise keeps its bytes a pixel in any size; what has less detail when it is smaller needs another round.
            scale = min(0.95 * math.sqrt(max_png_bytes / size_bytes), 0.9)
            size = (max(round(image.width * scale), 1), max(round(image.height * scale), 1))
            image = figure.image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        png = Figure(figure.id, image).png()
        if len(png) <= max_png_bytes or min(image.size) == 1:
            return png
        size_bytes = len(png)


def _estimated_png_bytes(image: Image.Image) -> int:
    """From eight bands of the image: to encode 40 megapixels of noise takes seconds, and would be for nothing."""
    band = image.height // 256
    if band == 0 or image.width * image.height < _SMALL_PIXELS:
        return 0
    tops = [image.height * eighth // 8 for eighth in range(8)]
    sampled = sum(len(Figure("", image.crop((0, top, image.width, top + band))).png()) for top in tops)
    return sampled * image.height // (8 * band)


def _check_scans(data: bytes) -> None:
    """Within coded pixels 0xFF is followed by 0 or by a marker without data, so there the two bytes begin a scan; in
    other segments they may stand a few times by chance."""
    if data.startswith(b"\xff\xd8") and (scans := data.count(_START_OF_SCAN)) > MAX_SCANS:
        raise FigureError("image_undecodable", f"The JPEG has {scans} scans; at most {MAX_SCANS} are decoded.")


def _check_size(width: int, height: int, limits: FigureLimits) -> None:
    if width * height > limits.max_pixels:
        raise FigureError(
            "image_too_large", f"The image has {width} × {height} pixels; at most {limits.max_pixels} are accepted."
        )
    if min(width, height) < limits.min_side:
        raise FigureError(
            "image_too_small",
            f"The image has {width} × {height} pixels; each side must have at least {limits.min_side}.",
        )


def _rgb_on_white(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _grey(_scaled_16_bit(image))
    if image.mode in ("I", "F"):
        return _grey(_stretched(image))
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _grey(pixels: np.ndarray) -> Image.Image:
    """`pixels`: uint8 [H, W]."""
    return Image.fromarray(pixels).convert("RGB")


def _scaled_16_bit(image: Image.Image) -> np.ndarray:
    """Pillow's own conversion of 16-bit grey clips at 255, which leaves a white page."""
    import numpy as np

    values = np.asarray(image)
    pixels = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):  # a PNG may name one grey value as see-through
        pixels[values == transparent] = 255
    return pixels


def _stretched(image: Image.Image) -> np.ndarray:
    """32-bit and float grey have no agreed white: the values stretch over 0..255; NaN and infinity are white."""
    import numpy as np

    values = np.asarray(image, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.full(values.shape, 255, np.uint8)
    low, high = values[finite].min(), values[finite].max()
    scaled = (np.where(finite, values, high) - low) * (255.0 / (high - low) if high > low else 0.0)
    return np.asarray(scaled.round(), dtype=np.uint8)


def _upright(rgb: Image.Image, source: Image.Image) -> Image.Image:
    """Turned as the EXIF data of `source` say. Broken EXIF data are no reason to refuse a good image."""
    try:
        orientation = source.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - as in `open_figure`
        return rgb
    turn = _UPRIGHT.get(orientation) if isinstance(orientation, int) else None
    return rgb if turn is None else rgb.transpose(turn)
