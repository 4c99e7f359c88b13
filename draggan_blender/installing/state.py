# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of an installation as the panel shows it, made from the installer's events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .sizes import duration_in_words, size_in_words

# The steps in their order, with the part of the bar at which each begins.
_BEGINS = {
    "tools": 0.0,
    "python": 0.04,
    "list": 0.08,
    "download": 0.1,
    "install": 0.8,
    "verify": 0.92,
    "bundle": 0.8,
    "remove": 0.1,
}
_ENDS = {"download": 0.8}

RUNNING, DONE, FAILED, CANCELLED, IDLE = "running", "done", "failed", "cancelled", "idle"


@dataclass(frozen=True, slots=True)
class InstallState:
    """What an installer's process is doing, or how the last one has ended.

    Attributes:
        phase: ``idle``, ``running``, ``done``, ``failed`` or ``cancelled``.
        mode: The request's mode, ``install``.
        text: What is being done, with bytes and speed; or how it has ended.
        fraction: The progress, 0 to 1.
        kind: Of a failure: its key in ``problems.PROBLEMS``.
        cancelling: Whether it was asked to cancel.
    """

    phase: str = IDLE
    mode: str = ""
    text: str = ""
    fraction: float = 0.0
    kind: str = ""
    cancelling: bool = False


def begun(mode: str) -> InstallState:
    """Return the state of an installer that was just started."""
    return InstallState(RUNNING, mode, "Starting the installer")


def cancelling(state: InstallState) -> InstallState:
    """Return the state of an installer that was asked to cancel."""
    return replace(state, text="Cancelling", cancelling=True)


def advance(state: InstallState, event: dict[str, Any]) -> InstallState:
    """Return the state after an event of the installer."""
    name = event.get("event")
    if name == "step" and state.cancelling:
        return state
    if name == "step":
        return replace(state, text=step_in_words(event), fraction=_fraction(event))
    if name in (DONE, FAILED, CANCELLED):
        return replace(
            state,
            phase=name,
            text=str(event.get("sentence", "")),
            fraction=1.0 if name == DONE else state.fraction,
            kind=str(event.get("kind", "")),
            cancelling=False,
        )
    return state


def step_in_words(event: dict[str, Any]) -> str:
    """Return what a step is doing: ``Downloading packages: torch, 45 of 190 MB, 8 MB/s, 20 s``."""
    text = str(event.get("text", ""))
    parts = [str(event["detail"])] if event.get("detail") else []
    total, done, speed = (float(event.get(key, 0)) for key in ("total", "done", "speed"))
    if total:
        parts.append(f"{size_in_words(done)} of {size_in_words(total)}")
    if total and speed > 0 and done < total:
        parts.append(f"{size_in_words(speed)}/s")
        parts.append(f"{duration_in_words((total - done) / speed)} left")
    return f"{text}: {', '.join(parts)}" if parts else text


def _fraction(event: dict[str, Any]) -> float:
    step = str(event.get("step", ""))
    begin = _BEGINS.get(step, 0.0)
    total = float(event.get("total", 0))
    inside = min(1.0, max(0.0, float(event.get("done", 0)) / total)) if total else 0.0
    return begin + (_ENDS.get(step, begin) - begin) * inside
