"""The corpus of hostile images: each a class of file that once cost a decoder time, memory or its composure.

`corpus()` gives every file by name, made on the spot; nothing is stored. `KINDS` says what each must come to. It grows
with each finding, and knows nothing of who decodes.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image


def figure(size: tuple[int, int] = (320, 200), text: str = "") -> Image.Image:
    """A small, harmless figure, another one for each text."""
    image = Image.new("RGB", size, "white")
    for i, byte in enumerate(text.encode()):
        image.putpixel((4 + i % (size[0] - 8), 4 + i // (size[0] - 8)), (byte, 0, 0))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(side: int = 6300, seed: int = 0, quality: int = 30) -> bytes:
    """A JPEG of a few megabytes whose pixels take a hundred as PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", quality=quality)


def jpeg_of_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG, each of whose scans is a pass over all blocks that changes nothing (ITU-T T.81, G.1.2)."""

    def segment(marker: int, body: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body

    def coded(bits: str) -> bytes:
        bits += "1" * (-len(bits) % 8)
        return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")

    blocks = (-(-side // 8)) ** 2
    head = b"\xff\xd8" + segment(0xDB, b"\0" + b"\1" * 64)
    head += segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    head += segment(0xC4, b"\0" + bytes([1] + [0] * 15) + b"\0")  # DC: one code
    head += segment(0xC4, b"\x10" + bytes([1, 1] + [0] * 14) + b"\xe0\0")  # AC: a run of 2**14 and more blocks, or one
    first = segment(0xDA, b"\1\1\0\0\0\0") + coded("0" * blocks)
    bits = ""
    while blocks >= 1 << 14:
        run = min(blocks, (1 << 15) - 1)
        bits += "0" + format(run - (1 << 14), "014b")
        blocks -= run
    one = segment(0xDA, b"\1\1\0\1\x3f\0") + coded(bits + "10" * blocks)
    return head + first + one * scans + b"\xff\xd9"


def png_of(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def header(width: int, height: int, depth: int = 8, colour: int = 2) -> tuple[bytes, bytes]:
    return b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)


def palette_png_without_palette() -> bytes:
    """Which Pillow meets with an AssertionError."""
    rows = zlib.compress(b"".join(b"\0" + bytes(16) for _ in range(16)))
    return png_of(header(16, 16, 8, 3), (b"IDAT", rows), (b"IEND", b""))


def png_with_text_bomb() -> bytes:
    bomb = zlib.compress(b"x" * 64_000_000, 9)
    rows = zlib.compress(b"".join(b"\0" + bytes(48) for _ in range(16)))
    return png_of(
        header(16, 16), *[(b"zTXt", b"a%d\0\0" % i + bomb) for i in range(8)], (b"IDAT", rows), (b"IEND", b"")
    )


def tiff_of(entries: list[tuple[int, int, int, int]], tail: bytes = b"", next_directory: int = 0) -> bytes:
    """Little-endian; entries as tag, type, count, value or offset."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", next_directory) + tail


def tiff_of_lies(tags: int = 65_000) -> bytes:
    """Every tag claims bytes that are not there: a warning each."""
    return tiff_of([((i + 300) & 0xFFFF, 7, 900_000, 8) for i in range(tags)])


def tiff_strip_bomb() -> bytes:
    """Deflate: 40 megapixels in some kilobytes, and a strip for each row."""
    row = zlib.compress(bytes(6300))
    entries = [(256, 4, 1, 6300), (257, 4, 1, 6300), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1), (278, 4, 1, 6300)]
    head = 8 + 2 + 12 * (len(entries) + 2) + 4
    entries += [(273, 4, 1, head), (279, 4, 1, len(row))]
    return tiff_of(sorted(entries), row)


def gif_of_frames(frames: int = 500) -> bytes:
    pictures = [figure((200, 200), str(i)).quantize(8) for i in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:])
    return file.getvalue()


def gif_with_far_frame() -> bytes:
    """A small screen whose only frame lies far outside of it."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 16, 16, 0x80, 0, 0) + bytes(6)
    frame = b"," + struct.pack("<HHHHB", 60_000, 60_000, 60_000, 60_000, 0)
    return screen + frame + b"\x02\x02\x4c\x01\x00;"


def jpeg_with_exif_loop() -> bytes:
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    plain = encoded(figure(), "JPEG")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]


KINDS: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "figure": (lambda: encoded(figure()), None),
    "jpeg of 10,000 scans": (lambda: jpeg_of_scans(1600, 10_000), "image_undecodable"),
    "jpeg of scans within their bound": (lambda: jpeg_of_scans(800, 90), None),
    "jpeg with exif that points at itself": (jpeg_with_exif_loop, None),
    "jpeg cut in the middle": (lambda: encoded(figure((800, 600), "x"), "JPEG")[:-2000], "image_undecodable"),
    "jpeg of noise": (lambda: noise(3000), None),
    "palette png without palette": (palette_png_without_palette, "image_undecodable"),
    "png with text that unpacks to 512 MB": (png_with_text_bomb, "image_undecodable"),
    "png that claims 4 gigapixels": (
        lambda: png_of(header(65_535, 65_535), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")),
        "image_too_large",
    ),
    "png without pixels": (lambda: png_of(header(64, 64), (b"IEND", b"")), "image_undecodable"),
    "png with a wrong checksum": (lambda: encoded(figure()).replace(b"IHDR\0\0", b"IHDR\0\1"), "image_undecodable"),
    "apng": (
        lambda: encoded(figure(), "PNG", save_all=True, append_images=[figure(text="b"), figure(text="c")]),
        None,
    ),
    "tiff of tags that lie": (tiff_of_lies, "image_undecodable"),
    "tiff of one deflated strip": (tiff_strip_bomb, "image_undecodable"),
    "tiff whose directory follows itself": (
        lambda: tiff_of([(256, 4, 1, 64), (257, 4, 1, 64)], next_directory=8),
        "image_undecodable",
    ),
    "gif of 500 frames": (gif_of_frames, None),
    "gif whose frame lies far outside": (gif_with_far_frame, "image_too_large"),
    "webp of frames": (
        lambda: encoded(figure(), "WEBP", save_all=True, append_images=[figure(text=str(i)) for i in range(20)]),
        None,
    ),
    "webp cut": (lambda: encoded(figure((800, 600), "webp"), "WEBP", lossless=True)[:60], "image_undecodable"),
    "svg": (
        lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        "image_undecodable",
    ),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(x) = quit\n", "image_undecodable"),
    "nothing": (lambda: b"", "image_empty"),
}
"""Name → how it is made, and the code that it is refused with; None where it is a figure after all."""


def corpus() -> Iterator[tuple[str, bytes, str | None]]:
    for name, (make, code) in KINDS.items():
        yield name, make(), code
