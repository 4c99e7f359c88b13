# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads that continue where they were, and that are checked.

What has arrived is in a file that ends with ``.part``. The next try, in this process or a later
one, asks the server for the rest only. A file gets its name when its SHA-256 is right.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import shutil
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPSHandler, OpenerDirector, Request, build_opener, url2pathname

from .problems import CancelledError, InstallError, from_os_error, from_url_error

_CHUNK = 256 * 1024
_TIMEOUT_S = 30.0
# Tries without a new byte before a download is given up, and the pause before each.
TRIES = 4
PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to download.

    Attributes:
        name: Its name.
        url: Its address.
        sha256: The allowed values of its SHA-256.
        size: Its size in bytes; 0 if it is not known.
    """

    name: str
    url: str
    sha256: frozenset[str]
    size: int = 0


@dataclass
class Watcher:
    """The callbacks of a download.

    Attributes:
        on_bytes: Called with the number of new bytes; negative if some were discarded.
        should_stop: Whether to cancel.
        pause_s: The pause before another try, in seconds.
    """

    on_bytes: Callable[[int], None] = lambda _count: None
    should_stop: Callable[[], bool] = lambda: False
    pause_s: float = PAUSE_S


def make_opener() -> OpenerDirector:
    """Return an opener that uses the system's certificates, or those that Blender brings."""
    context = ssl.create_default_context()
    if not context.get_ca_certs() and not os.environ.get("SSL_CERT_FILE"):
        # Blender's own Python on macOS and some Linux systems finds no certificates.
        with contextlib.suppress(ImportError):
            import importlib

            context.load_verify_locations(importlib.import_module("certifi").where())
    return build_opener(HTTPSHandler(context=context))


def host_of(url: str) -> str:
    """Return the host of an address, without a name and a password."""
    parts = urlsplit(url)
    return parts.hostname or "this computer"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_whole(path: Path, wanted: Wanted) -> bool:
    """Return whether a file is there and has the right content."""
    return path.is_file() and sha256_of(path) in wanted.sha256


def fetch(wanted: Wanted, folder: Path, watcher: Watcher, opener: OpenerDirector) -> Path:
    """Download a file into a folder, or what is missing of it, and return its path.

    Args:
        wanted: The file. Its address may begin with ``file:``.
        folder: The folder, which exists.
        watcher: Progress and cancelling.
        opener: Of ``make_opener``.

    Raises:
        InstallError: The file cannot be downloaded or written, or has another content.
        CancelledError: ``watcher.should_stop`` has returned True.
    """
    path = folder / wanted.name
    part = folder / f"{wanted.name}.part"
    try:
        if is_whole(path, wanted):
            watcher.on_bytes(path.stat().st_size)
            return path
        path.unlink(missing_ok=True)
        if urlsplit(wanted.url).scheme == "file":
            _copy(wanted, part, watcher)
        else:
            _Download(wanted, part, watcher, opener).run()
        if sha256_of(part) not in wanted.sha256:
            watcher.on_bytes(-part.stat().st_size)
            part.unlink()
            raise InstallError("hash", name=wanted.name)
        os.replace(part, path)
    except OSError as error:
        raise from_os_error(error, str(path)) from error
    return path


def _copy(wanted: Wanted, part: Path, watcher: Watcher) -> None:
    source = Path(url2pathname(urlsplit(wanted.url).path))
    if not source.is_file():
        raise InstallError("missing", host="this computer", name=str(source))
    shutil.copyfile(source, part)
    watcher.on_bytes(part.stat().st_size)


class _Download:
    """One file from a server, in as many tries as bring new bytes."""

    def __init__(
        self, wanted: Wanted, part: Path, watcher: Watcher, opener: OpenerDirector
    ) -> None:
        self._wanted, self._part, self._watcher, self._opener = wanted, part, watcher, opener
        self._counted = 0
        self._host = host_of(wanted.url)

    def run(self) -> None:
        """Download until the file is complete."""
        without_news = 0
        while True:
            before = self._size()
            self._count(before)
            last = self._try(before)
            if last is None:
                return
            without_news = 0 if self._size() > before else without_news + 1
            if without_news >= TRIES:
                raise last
            self._pause()

    def _try(self, offset: int) -> InstallError | None:
        """Ask for the rest of the file; return None if it is complete, else what went wrong.

        Raises:
            InstallError: Another try would end in the same way.
        """
        if self._wanted.size and offset == self._wanted.size:
            return None
        if self._wanted.size and offset > self._wanted.size:
            self._part.unlink()
            offset = 0
        request = Request(self._wanted.url)
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                expected = self._receive(answer, offset)
        except (OSError, http.client.HTTPException) as error:
            return self._problem(error, offset)
        if expected is not None and self._size() < expected:
            return InstallError("cut", host=self._host, name=self._wanted.name)
        return None

    def _problem(self, error: Exception, offset: int) -> InstallError | None:
        """Return what went wrong in one try; None if there was nothing left to download."""
        name, host = self._wanted.name, self._host
        if isinstance(error, HTTPError):
            error.close()
        if isinstance(error, HTTPError) and error.code == 416 and offset:
            # What is there is all of the file, or of another one, which its hash will show.
            return None
        if isinstance(error, OSError):
            if error.filename is not None and not isinstance(error, HTTPError):
                raise error  # of the disk: the connection has no file name
            final = from_url_error(error, host=host, name=name)
            if final is not None:
                raise final from error
        if isinstance(error, HTTPError):
            return InstallError("server", host=host, detail=f"HTTP {error.code} {error.reason}")
        is_begun = bool(self._size()) or isinstance(error, http.client.HTTPException)
        return InstallError("cut" if is_begun else "unreachable", host=host, name=name)

    def _receive(self, answer: http.client.HTTPResponse, offset: int) -> int | None:
        """Write what arrives; return the size that the whole file should have, if it is said."""
        continues = answer.status == 206 and (
            answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        )
        length = answer.headers.get("Content-Length")
        start = offset if continues else 0
        with self._part.open("ab" if continues else "wb", buffering=0) as file:
            self._count(start)
            while chunk := answer.read(_CHUNK):
                _write(file, chunk, self._part)
                self._count(self._counted + len(chunk))
                if self._watcher.should_stop():
                    raise CancelledError
        return start + int(length) if length else self._wanted.size or None

    def _count(self, total: int) -> None:
        self._watcher.on_bytes(total - self._counted)
        self._counted = total

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _pause(self) -> None:
        until_s = time.monotonic() + self._watcher.pause_s
        while time.monotonic() < until_s:
            if self._watcher.should_stop():
                raise CancelledError
            time.sleep(0.05)


def _write(file: FileIO, chunk: bytes, path: Path) -> None:
    """Write all of a chunk; an error carries the file's name, unlike one of the connection."""
    view = memoryview(chunk)
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
