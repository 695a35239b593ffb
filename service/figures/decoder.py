"""Decoder process: reads image files from its parent and answers each with pixels as PNG, or with an error.

    python -m service.figures.decoder PARENT_PID MAX_BYTES MAX_PIXELS MIN_SIDE MAX_PNG_BYTES

Image decoders are C code with untrusted input, and a thread cannot be stopped. So the gateway decodes in processes that
it can kill (service/figures/decoder_pool.py): their memory is freed with them, their output goes to a pipe that the
gateway reads, and their address space is bounded. Both directions carry only bytes and JSON, never pickled objects.

    request   kind (`f` a file, `b` a file in base64), length (8 bytes, big-endian), data
    answer    `k`, length of JSON (4 bytes), JSON, length of PNG (8 bytes), PNG; or `e`, length of JSON, JSON

The first byte it sends is `r`: it is ready. It ends when its input ends, and with its parent.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import resource
import signal
import struct
import sys
import warnings
from pathlib import Path
from typing import BinaryIO

from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin

from llava_graph.figure import FigureError, FigureLimits, open_figure, within_bytes
from llava_graph.parent_death import signal_when_parent_dies

_BASE_BYTES = 1024 * 1024 * 1024
"""Address space of the interpreter and its libraries, numpy's included."""
_BYTES_A_PIXEL = 40
"""Address space for the largest image: decoded, converted, turned, scaled and encoded, each in float64 at worst."""


_LOADED = (GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)
"""Of `llava_graph.figure.FORMATS`: loaded before the first image comes, not with it. So is what Pillow loads for itself
when it opens its first image (`Image.preinit`)."""


def main(arguments: list[str]) -> None:
    parent_pid, max_bytes, max_pixels, min_side, max_png_bytes = map(int, arguments)
    _bound_this_process(parent_pid, _BASE_BYTES + _BYTES_A_PIXEL * max_pixels)
    # Standard output is the parent's; what libraries print goes to standard error, which the parent reads, too.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    Image.preinit()
    answers.write(b"r")
    answers.flush()
    _serve(sys.stdin.buffer, answers, FigureLimits(max_bytes, max_pixels, min_side), max_png_bytes)


def _serve(requests: BinaryIO, answers: BinaryIO, limits: FigureLimits, max_png_bytes: int) -> None:
    libc = ctypes.CDLL(None)
    while head := requests.read(9):
        kind, length = struct.unpack(">cQ", head)
        data = requests.read(length)
        if len(data) < length:
            return
        answers.write(_answer(data, limits, max_png_bytes, in_base64=kind == b"b"))
        answers.flush()
        del data
        with contextlib.suppress(AttributeError):  # glibc's alone
            libc.malloc_trim(0)


def _answer(data: bytes, limits: FigureLimits, max_png_bytes: int, *, in_base64: bool) -> bytes:
    try:
        figure = open_figure(_from_base64(data) if in_base64 else data, limits)
        png = within_bytes(figure, max_png_bytes)
    except FigureError as error:
        return _failed(error.code, error.message, type(error.__cause__).__name__)
    except MemoryError:
        return _failed("image_undecodable", "The image takes more memory to decode than it may have.", "MemoryError")
    about = json.dumps({"id": figure.id, "width": figure.width, "height": figure.height}).encode()
    return b"".join([b"k", struct.pack(">I", len(about)), about, struct.pack(">Q", len(png)), png])


def _failed(code: str, message: str, cause: str) -> bytes:
    said = json.dumps({"code": code, "message": message, "cause": cause}).encode()
    return b"e" + struct.pack(">I", len(said)) + said


def _from_base64(encoded: bytes) -> bytes:
    """Raises FigureError."""
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise FigureError("image_undecodable", f"The image is not base64: {error}.") from error


def _bound_this_process(parent_pid: int, address_space_bytes: int) -> None:
    if sys.platform == "linux":
        signal_when_parent_dies(signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before the call above
            sys.exit("the gateway is gone")
        with contextlib.suppress(OSError):  # where memory runs out, this is what is to go
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
        resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes, address_space_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(sys.argv[1:])
