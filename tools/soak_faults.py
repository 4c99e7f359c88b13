# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong meanwhile, as ``tools/soak.py`` does it by chance.

As in ``soak_operations``, the name of each fault is reported, and it returns what became of it.
"""

from __future__ import annotations

import os
import shutil
import signal

from tools.soak_scene import EXTENSION, NOTHING, SoakScene, module, push, wait


def kill_engine(scene: SoakScene) -> str:
    """Kill the engine in the middle of a drag; its steps must become the sequence."""
    started = scene.start_drag(steps=20)
    if started is None:
        return NOTHING
    scene.until_a_step()
    pid = module("connection.pump").engine_pid()
    if pid is None:
        return NOTHING
    os.kill(pid, signal.SIGKILL)
    wait(started)
    return "the drag was kept"


def stop_process(scene: SoakScene) -> str:
    """Stop the engine's process for a while, as a laptop that sleeps."""
    started = scene.start_drag()
    pump = module("connection.pump")
    if started is None or (pid := pump.engine_pid()) is None:
        return NOTHING
    os.kill(pid, signal.SIGSTOP)
    try:
        pump.run_until(lambda _now: False, scene.chance.uniform(1, 9))
    finally:
        os.kill(pid, signal.SIGCONT)
    wait(started)
    return "done"


def lose_folder(scene: SoakScene) -> str:
    """Remove the folder of an image's sequence, and restore it."""
    plane = scene.choose()
    if plane is None or plane.draggan.sequence.image is None:
        return NOTHING
    folder = module("scene.images").sequence_folder(plane)
    shutil.rmtree(folder, ignore_errors=True)
    wait(module("jobs.image").render_again(plane))
    return "restored"


def switch_off(scene: SoakScene) -> str:
    """Disable the extension during a drag, and enable it again."""
    import addon_utils

    scene.start_drag()
    pump = module("connection.pump")
    pump.run_until(lambda _now: False, scene.chance.uniform(0, 0.5))
    scene.note_engine()
    addon_utils.disable(EXTENSION)
    addon_utils.enable(EXTENSION)
    return "done"


def other_file(scene: SoakScene) -> str:
    """Open the saved file during a drag, without saving."""
    import bpy

    if not scene.blend.exists() or scene.start_drag() is None:
        return NOTHING
    pump = module("connection.pump")
    pump.run_until(lambda _now: False, scene.chance.uniform(0, 0.5))
    bpy.ops.wm.open_mainfile(filepath=str(scene.blend))
    push("Opened")
    return "done"


FAULTS = (
    kill_engine,
    stop_process,
    lose_folder,
    switch_off,
    other_file,
)
