# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong during an installation: one sentence for what was found, one for what to do.

``docs/troubleshooting.md`` has a row for each; a test compares them.
"""

from __future__ import annotations

import errno
import re
import ssl
from dataclasses import dataclass
from urllib.error import HTTPError, URLError

_AGAIN = "press Install Engine again; it continues where it was"


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of problem.

    Attributes:
        found: What was found; may have the fields ``{name}``, ``{host}`` and ``{detail}``.
        remedy: What to do.
    """

    found: str
    remedy: str


PROBLEMS = {
    "online_access": Problem(
        "Blender may not use the internet",
        "switch on Edit > Preferences > System > Network > Allow Online Access, or start Blender "
        "with --online-mode, or use Install from Bundle",
    ),
    "unreachable": Problem(
        "The {host} cannot be reached",
        "check the internet connection, and Proxy and Package Index in the preferences; then "
        + _AGAIN,
    ),
    "cut": Problem(
        "The connection to the {host} broke several times while {name} was downloaded",
        "what has arrived is kept; " + _AGAIN,
    ),
    "missing": Problem(
        "The {host} does not have {name} (HTTP 404)",
        "check Package Index in the preferences, or leave it empty; then " + _AGAIN,
    ),
    "server": Problem(
        "The {host} reports an error of its own ({detail})",
        "wait a few minutes and " + _AGAIN,
    ),
    "forbidden": Problem(
        "The {host} refuses access ({detail})",
        "check Package Index in the preferences; if it needs a name and a password, write "
        "them into its address",
    ),
    "proxy": Problem(
        "The proxy asks for a name and a password (HTTP 407)",
        "write them into Proxy in the preferences: http://name:password@host:port",
    ),
    "certificate": Problem(
        "The identity of the {host} cannot be verified ({detail})",
        "check the date and time of this computer; if your network replaces certificates, set the "
        "environment variable SSL_CERT_FILE to its certificate and start Blender again",
    ),
    "hash": Problem(
        "{name} has another content than the one that was tested (its SHA-256 differs)",
        "it was removed; press Install Engine again, and if it happens again, change Package "
        "Index or Proxy in the preferences, which delivers a changed file",
    ),
    "disk_full": Problem(
        "The disk is full: {detail}",
        "free some space on the disk of Blender's user folder; then " + _AGAIN,
    ),
    "not_writable": Problem(
        "{name} cannot be written ({detail})",
        "make the folder writable for your account, not by running Blender as administrator; "
        "then " + _AGAIN,
    ),
    "in_use": Problem(
        "{name} is in use by another program",
        "close other Blenders and, if there is one, the virus scanner's window; then " + _AGAIN,
    ),
    "busy": Problem(
        "Another Blender is installing or removing the engine",
        "wait until it has finished, and then press Install Engine again",
    ),
    "no_pip": Problem(
        "Blender's Python has no pip, and no other Python with pip and no uv was found",
        "install the package python3-venv or python3-pip of your system, or uv, or use Install "
        "from Bundle",
    ),
    "no_python": Problem(
        "No Python {detail} was found, and none could be downloaded",
        "install Python {detail}, or allow the download, and press Install Engine again",
    ),
    "no_lock": Problem(
        "This version of the extension cannot install {name} on this system ({detail})",
        "choose another variant in the preferences, or set up a Python with PyTorch yourself and "
        "choose it as Engine Python",
    ),
    "no_package": Problem(
        "The package index has no file of {name} that fits this computer",
        "leave Package Index in the preferences empty, or choose another variant; then " + _AGAIN,
    ),
    "long_path": Problem(
        "The path of the engine's files would have {detail} characters; Windows allows 259",
        "let Windows use long paths (LongPathsEnabled), or start Blender with "
        "BLENDER_USER_RESOURCES set to a short folder; then press Install Engine again",
    ),
    "verification": Problem(
        "The engine was installed, but it does not run ({detail})",
        "press Repair; if it happens again, press Copy Report and report it. The engine that was "
        "installed before is still in use",
    ),
    "no_bundle": Problem(
        "{name} is not a bundle of the engine ({detail})",
        "choose the folder that Save Bundle has written; it contains bundle.json",
    ),
    "other_bundle": Problem(
        "The bundle does not fit: {detail}",
        "make one with Save Bundle in the same version of the extension, on a computer of the "
        "same kind",
    ),
    "tool": Problem(
        "A program that installs packages has failed ({detail})",
        "press Show Log for all that it said, and Copy Report to report it",
    ),
    "internal": Problem(
        "The installer has failed unexpectedly ({detail})",
        "press Copy Report and report it; then press Install Engine again",
    ),
}


class InstallError(Exception):
    """An installation that cannot go on; the text is for the person and says what to do.

    Attributes:
        kind: The key in ``PROBLEMS``.
    """

    def __init__(self, kind: str, *, name: str = "", host: str = "", detail: str = "") -> None:
        self.kind = kind
        problem = PROBLEMS[kind]
        fields = {
            "name": name or "A file",
            "host": f"server {host}" if host else "package server",
            "detail": detail,
        }
        found, remedy = (text.format(**fields) for text in (problem.found, problem.remedy))
        super().__init__(f"{found}; {remedy}.")


class CancelledError(Exception):
    """The person has cancelled the installation."""


def from_os_error(error: OSError, name: str = "") -> InstallError:
    """Return the problem behind an error of the file system."""
    name = str(error.filename or name)
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or getattr(error, "winerror", 0) == 112:
        return InstallError("disk_full", detail=f"{name} could not be written")
    if getattr(error, "winerror", 0) in (32, 33) or error.errno == errno.EBUSY:
        return InstallError("in_use", name=name)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return InstallError("not_writable", name=name, detail=error.strerror or "no permission")
    return InstallError("internal", detail=f"{type(error).__name__}: {error}")


def from_http(code: int, reason: str, *, host: str, name: str) -> InstallError:
    """Return the problem behind the status code of an answer."""
    detail = f"HTTP {code} {reason}".strip()
    if code == 407:
        return InstallError("proxy")
    if code in (401, 403):
        return InstallError("forbidden", host=host, detail=detail)
    if code in (404, 410):
        return InstallError("missing", host=host, name=name)
    return InstallError("server", host=host, detail=detail)


def from_url_error(error: OSError, *, host: str, name: str) -> InstallError | None:
    """Return the problem behind an error of ``urllib`` that another try cannot cure, or None."""
    if isinstance(error, HTTPError):
        return (
            None
            if error.code >= 500
            else from_http(error.code, str(error.reason), host=host, name=name)
        )
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return InstallError("certificate", host=host, detail=reason.verify_message)
    if "407" in str(reason):
        return InstallError("proxy")
    return None


# Why a certificate is refused, in the long lines of pip and uv.
_CERTIFICATE = r"not yet valid|has expired|self.signed certificate|UnknownIssuer|verify failed"

# What pip and uv say, in the order in which it is looked for.
_SIGNS: tuple[tuple[str, str], ...] = (
    (r"no space left|disk quota|not enough space|os error 112\b", "disk_full"),
    (r"proxy authentication|\b407\b", "proxy"),
    (r"certificate|UnknownIssuer|invalid peer|CERTIFICATE_VERIFY", "certificate"),
    (r"hash mismatch|do not match the hashes|hashes? .*(differ|mismatch)", "hash"),
    (r"used by another process|os error 32\b|WinError 32\b", "in_use"),
    (r"permission denied|read-only file system|access is denied|Errno 13|Errno 30", "not_writable"),
    (r"\b(401|403)\b.*(unauthori|forbidden)|(unauthori|forbidden)", "forbidden"),
    (r"\b404\b", "missing"),
    (r"\b5\d\d\b (server error|internal|bad gateway|service un|gateway)|too many 5\d\d", "server"),
    (
        r"dns error|name or service|name resolution|failed to (connect|lookup)|error sending "
        r"request|connection refused|NewConnectionError|unreachable|getaddrinfo|timed? ?out",
        "unreachable",
    ),
    (r"no (matching )?distribution|no wheels? with a matching|was not found in the", "no_package"),
)


def from_tool_output(text: str, *, host: str = "", name: str = "") -> InstallError:
    """Return the problem behind the output of pip or uv that has failed."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]

    def short(line: str) -> str:
        if reason := re.search(_CERTIFICATE, line, re.IGNORECASE):
            return reason[0]
        return re.sub(r"^(error|cause|ERROR|WARNING):\s*", "", line)[:200]

    for pattern, kind in _SIGNS:
        for line in lines:
            if re.search(pattern, line, re.IGNORECASE):
                return InstallError(kind, name=name, host=host, detail=short(line))
    marked = [line for line in lines if re.match(r"(error|cause|ERROR)", line)]
    return InstallError("tool", detail=short((marked or lines or ["no output"])[-1]))
