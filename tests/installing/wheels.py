# SPDX-License-Identifier: GPL-3.0-or-later
"""Tiny wheels, a package index with faults, and a place to install from it, for the tests."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import ssl
import threading
import time
import zipfile
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

_METADATA = "Metadata-Version: 2.1\n"
_WHEEL = b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

FAKE_TORCH = "version = 'fake'\n"

# A stand-in for the engine that passes its self-test if ``torch`` is installed. ``{fail}`` is a
# device that fails.
FAKE_ENGINE = """\
import json, sys
import torch
device = sys.argv[sys.argv.index("--device") + 1]
if device in {fail!r}:
    sys.exit(f"{{device}} computes another image than the CPU")
print(json.dumps({{"device": "cpu", "device_name": "CPU, 2 threads", "step_ms": 40.0,
                  "torch": torch.version}}))
"""


def make_wheel(name: str, files: dict[str, bytes], version: str = "1.0") -> tuple[str, bytes]:
    """Return file name and content of a wheel for any Python."""
    info = f"{name}-{version}.dist-info"
    contents = {
        **files,
        f"{info}/METADATA": f"{_METADATA}Name: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": _WHEEL,
    }
    rows = []
    for path, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        rows.append(f"{path},sha256={digest},{len(data)}")
    contents[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path, data in contents.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data)
    return f"{name}-{version}-py3-none-any.whl", out.getvalue()


def sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


@dataclass
class Faults:
    """What the index does wrong with wheels; each fault ends by itself after ``times`` requests.

    Attributes:
        kind: ``cut``, ``slow``, ``changed``, ``407``, or a status code; empty for no fault.
        times: For how many requests of a wheel.
        after: With ``cut`` and ``slow``, the number of bytes before it.
    """

    kind: str = ""
    times: int = 10**6
    after: int = 0

    def take(self) -> str:
        """Return the fault of the next request of a wheel."""
        if not self.kind or self.times <= 0:
            return ""
        self.times -= 1
        return self.kind


@dataclass
class Index:
    """A package index on this machine, which can continue downloads.

    Attributes:
        wheels: The content of each file.
        faults: What it does wrong.
        ranges: The ``Range`` of each request of a wheel, empty for a whole one.
        served: The number of bytes of wheels that were sent.
        tls: The server's certificate with its key, for an index with https.
        says_sizes: Whether its pages say how large the files are.
    """

    wheels: dict[str, bytes]
    faults: Faults = field(default_factory=Faults)
    ranges: list[str] = field(default_factory=list)
    served: int = 0
    tls: Path | None = None
    says_sizes: bool = True

    def has_served(self, wanted: int) -> bool:
        """Return whether so many bytes were sent; a client may be ahead of the count."""
        ends_s = time.monotonic() + 10.0
        while self.served != wanted and time.monotonic() < ends_s:
            time.sleep(0.01)
        return self.served == wanted

    @cached_property
    def server(self) -> ThreadingHTTPServer:
        """The running server."""
        server = _Server(self)
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    @property
    def base(self) -> str:
        """The address of the server."""
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://127.0.0.1:{self.server.server_address[1]}"

    @property
    def url(self) -> str:
        """The address of the index."""
        return f"{self.base}/simple/"

    def close(self) -> None:
        """Stop the server."""
        if "server" in self.__dict__:
            self.server.shutdown()
            self.server.server_close()

    def page(self, name: str) -> bytes:
        """Return the page of a package, in the form with sizes."""
        files = [
            {
                "filename": file,
                "url": f"{self.base}/files/{file}",
                "hashes": {"sha256": sha256(data)},
                **({"size": len(data)} if self.says_sizes else {}),
            }
            for file, data in self.wheels.items()
            if file.startswith(f"{name}-")
        ]
        page = {"meta": {"api-version": "1.0"}, "name": name, "files": files}
        return json.dumps(page).encode()


class _Server(ThreadingHTTPServer):
    """The server of an index."""

    daemon_threads = True

    def __init__(self, index: Index) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.index = index


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        index = self.server.index
        kind, _, name = self.path.strip("/").partition("/")
        if kind == "simple":
            self._send(200, index.page(name), "application/vnd.pypi.simple.v1+json")
        elif name in index.wheels:
            self._wheel(index.wheels[name], index.faults.take())
        else:
            self._send(404, b"")

    def _wheel(self, data: bytes, fault: str) -> None:
        index, wanted = self.server.index, self.headers.get("Range", "")
        index.ranges.append(wanted)
        start = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted else 0
        if fault.isdigit() or start >= len(data):
            self._send(int(fault) if fault.isdigit() else 416, b"")
            return
        if fault == "changed":
            data = data[:-1] + bytes([data[-1] ^ 1])
        part = data[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(part)))
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if fault == "cut":
            part = part[: index.faults.after]
            self.close_connection = True
        if fault == "slow":
            for begin in range(0, len(part), index.faults.after):
                self._write(part[begin : begin + index.faults.after])
                time.sleep(0.02)
            return
        self._write(part)

    def _write(self, part: bytes) -> None:
        try:
            self.wfile.write(part)
            self.wfile.flush()
        except OSError:
            return  # the client has cancelled
        self.server.index.served += len(part)

    def _send(self, code: int, data: bytes, kind: str = "text/plain") -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: Any) -> None:
        """Print nothing."""


def write_root(
    root: Path, wheels: dict[str, bytes], platform: str, fail: tuple[str, ...] = ()
) -> None:
    """Write a folder that an installer takes for the extension: locks, and a fake engine."""
    requirements, engine = root / "requirements", root / "engine"
    requirements.mkdir(parents=True, exist_ok=True)
    engine.mkdir(exist_ok=True)
    lines = []
    for name, data in sorted(wheels.items()):
        package, version, *_ = name.split("-")
        lines.append(f"{package}=={version} \\\n    --hash=sha256:{sha256(data)}\n")
    (requirements / "engine-cpu.lock").write_text("".join(lines))
    facts = {"pythons": PYTHONS, "download_bytes": 1000, "installed_bytes": 3000}
    table = {"cpu": {platform: facts}}
    (requirements / "locks.json").write_text(json.dumps(table))
    (engine / "__main__.py").write_text(FAKE_ENGINE.format(fail=fail))


PYTHONS = ["3.11", "3.13"]
