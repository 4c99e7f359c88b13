# SPDX-License-Identifier: GPL-3.0-or-later
"""The fake engine's "generator": a disc on a gradient, painted with the standard library.

The first two numbers of a latent are the centre of the disc in pixels, so that a drag moves
something visible, and every latent can be painted again.
"""

from __future__ import annotations

import math
import random
import struct
import zlib
from pathlib import Path

from draggan_blender.protocol.atomic_files import replacing

SIZE_PX = 64
NUM_WS = 10
W_DIM = 16
_LATENT = struct.Struct(f"<{NUM_WS * W_DIM}f")


def latent_of(seed: int, truncation_psi: float) -> bytes:
    """Return the latent of a seed: a disc near the middle, and noise (one value is the tint)."""
    source = random.Random(seed)
    centre = [SIZE_PX / 2 + source.uniform(-12, 12) * truncation_psi for _ in range(2)]
    rest = [source.gauss(0, 1) * truncation_psi for _ in range(NUM_WS * W_DIM - 2)]
    return _LATENT.pack(*centre, *rest)


def moved(latent: bytes, by_px: tuple[float, float]) -> bytes:
    """Return a latent with its disc moved by ``(x, y)`` pixels."""
    values = list(_LATENT.unpack(latent))
    values[0] += by_px[0]
    values[1] += by_px[1]
    return _LATENT.pack(*values)


def paint(latent: bytes) -> list[bytes]:
    """Return the image of a latent: rows of RGB bytes, top row first."""
    values = _LATENT.unpack(latent)
    centre_x, centre_y, tint = values[0], values[1], int(abs(values[2]) * 100) % 128
    rows = []
    for y in range(SIZE_PX):
        row = bytearray()
        for x in range(SIZE_PX):
            inside = math.hypot(x + 0.5 - centre_x, y + 0.5 - centre_y) <= SIZE_PX / 8
            row += bytes((255, 200, 40) if inside else (x * 2, y * 2, tint))
        rows.append(bytes(row))
    return rows


def write_png(path: Path, rows: list[bytes]) -> None:
    """Write an 8-bit RGB PNG under the engine's temporary name, and rename it when complete."""

    def chunk(name: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    size = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    with replacing(path, durable=False) as part:
        part.write_bytes(png)


def preview_pixels(rows: list[bytes]) -> bytes:
    """Return an image as float32 RGBA in [0, 1], bottom row first."""
    out = []
    for row in reversed(rows):
        for start in range(0, len(row), 3):
            out += [row[start] / 255, row[start + 1] / 255, row[start + 2] / 255, 1.0]
    return struct.pack(f"<{len(out)}f", *out)
