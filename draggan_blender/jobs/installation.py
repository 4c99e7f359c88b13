# SPDX-License-Identifier: GPL-3.0-or-later
"""Installing the engine from Blender: the functions for panels, commands and scripts, and a timer.

The work is done by a child process; the timer reads its events, and only while there is one. From
a script::

    from bl_ext.user_default.draggan_blender.draggan_blender.jobs import installation
    installation.start("install", variant="cpu")
    state = installation.wait()
"""

from __future__ import annotations

import atexit
import getpass
import time
from pathlib import Path

import bpy

from .. import preferences
from ..connection import pump
from ..errors import EditError
from ..installing import record, state
from ..installing.child import Child
from ..installing.machine import Machine, at_a_glance
from ..installing.places import Places
from ..installing.problems import InstallError
from ..installing.record import Record
from ..installing.report import make_report, newest_log, read_log
from ..installing.request import InstallRequest
from ..installing.state import InstallState
from ..installing.variants import LABELS, Locks
from ..package import ROOT, ROOT_PACKAGE
from ..protocol.cache_folder import home_folder
from . import delivery

_EVERY_S = 0.2
_WAIT_S = 0.1

_child: Child | None = None
_state = InstallState()
# What the panel asks for at each redraw: read again when an installer has ended.
_kept: tuple[str, Record | None] | None = None


def now() -> InstallState:
    """Return what the installer is doing, or how the last one has ended."""
    return _state


def is_running() -> bool:
    """Return whether an installer is at work."""
    return _child is not None


def places() -> Places:
    """Return where the engine is installed."""
    return Places(preferences.user_folder())


def locks() -> Locks:
    """Return the locks of this version of the extension."""
    return Locks(ROOT / "requirements")


def machine() -> Machine:
    """Return this computer, as far as can be said at once; the installer looks more closely."""
    return at_a_glance()


def condition() -> str:
    """Return ``absent``, ``broken``, ``outdated`` or ``ready``; see ``installing.record.state``."""
    return _found()[0]


def installed() -> Record | None:
    """Return the record of the installed engine; None if there is none."""
    return _found()[1]


def _found() -> tuple[str, Record | None]:
    global _kept
    if _kept is None:
        _kept = record.state(places(), locks(), machine()), record.read(places())
    return _kept


def start(
    mode: str = "install", *, variant: str | None = None, bundle: str = "", python: str = ""
) -> None:
    """Start an installer; returns at once.

    Args:
        mode: ``install`` (also to repair and to update), ``remove``, ``save_bundle`` or ``check``.
        variant: ``cpu``, ``cuda``, ``rocm`` or ``apple``, empty for the one that suits; None for
            the one in the preferences.
        bundle: The folder of a bundle, to install from or to write.
        python: The Python to check.

    Raises:
        EditError: An installer is running already, Blender may not use the internet, or the
            installer cannot be started.
    """
    global _child, _state
    if _child is not None:
        raise EditError("An installer is running already; wait, or press Cancel")
    online = bool(bpy.app.online_access)
    if mode == "install" and not bundle and not online and condition() == "absent":
        raise EditError(str(InstallError("online_access")).removesuffix("."))
    stored = preferences.get()
    chosen = "" if stored is None or stored.variant == "auto" else stored.variant
    if mode == "remove":
        pump.stop()
    request = InstallRequest(
        mode=mode,
        root=str(ROOT),
        user=str(preferences.user_folder()),
        variant=chosen if variant is None else variant,
        index="" if stored is None else stored.package_index,
        proxy="" if stored is None else stored.proxy,
        bundle=bpy.path.abspath(bundle) if bundle else "",
        python=bpy.path.abspath(python) if python else "",
        online=online,
        keep_old=not pump.is_off(pump.state()),
    )
    try:
        _child = Child(request)
    except InstallError as error:
        raise EditError(str(error).removesuffix(".")) from None
    _state = state.begun(mode)
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=_EVERY_S, persistent=True)
    delivery.redraw_installation()


def cancel() -> None:
    """Ask the installer to cancel; what was downloaded is kept."""
    global _state
    if _child is not None:
        _child.cancel()
        _state = state.cancelling(_state)
        delivery.redraw_installation()


def wait(timeout_s: float = float("inf")) -> InstallState:
    """Wait for the end of the installer; for scripts, which have no window to keep alive.

    Args:
        timeout_s: How long to wait; the installer goes on afterwards.

    Returns:
        The state, which ``phase`` says more of.
    """
    until_s = time.monotonic() + timeout_s
    while poll() and time.monotonic() < until_s:
        time.sleep(_WAIT_S)
    return _state


def poll() -> bool:
    """Read the installer's events; return whether it is still running."""
    global _child, _state, _kept
    if _child is None:
        return False
    before = _state
    for event in _child.poll():
        _state = state.advance(_state, event)
    if _child.has_ended:
        mode, _child, _kept = _child.request.mode, None, None
        if mode == "install" and _state.phase == state.DONE:
            # The next start uses the new environment.
            pump.stop()
    if _state != before:
        delivery.redraw_installation()
    return _child is not None


def log_path() -> Path | None:
    """Return the log of the last installation; None if there is none."""
    return newest_log(places().logs)


def report() -> str:
    """Return what *Copy Report* copies: versions, system, last lines of the log."""
    stored = installed()
    facts = [
        ("Blender", bpy.app.version_string),
        ("Extension", _version()),
        ("System", machine().words),
        ("Engine", condition() if stored is None else f"{condition()}, {LABELS[stored.variant]}"),
        ("Last installation", f"{_state.phase} {_state.kind} {_state.text}".strip()),
    ]
    if stored is not None:
        facts.append(("PyTorch", f"{stored.torch} in Python {stored.python}"))
        facts.append(("Self-test", stored.sentence))
    log = read_log(log_path())
    return make_report(facts, log, home=home_folder() or ROOT, user=_user())


def _user() -> str:
    """Return the person's name in this system; empty in a container whose user has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def _version() -> str:
    import tomllib

    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    return f"{manifest['version']} ({ROOT_PACKAGE})"


def _on_timer() -> float | None:
    return _EVERY_S if poll() else None


def _end() -> None:
    if _child is not None:
        _child.end_now()


def register() -> None:
    """End the installer with Blender."""
    atexit.register(_end)


def unregister() -> None:
    """Cancel a running installer, wait for its end, and remove the timer."""
    global _child, _state, _kept
    atexit.unregister(_end)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    _end()
    _child, _state, _kept = None, InstallState(), None
