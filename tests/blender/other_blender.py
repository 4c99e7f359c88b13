# SPDX-License-Identifier: GPL-3.0-or-later
"""A script for a second Blender: it enables the installed extension and drags.

Arguments: the model, a folder, and ``drag`` (a drag to its end) or ``long-drag`` (one that ends
only when the process is killed). It prints ``ready``, ``dragging`` with the engine's process id,
and ``status`` with the result, one a line.
"""

from __future__ import annotations

import os
import sys

import bpy


def main() -> None:
    """Run the task of the arguments."""
    given = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    model, folder, task = given
    import support

    support.enable()
    pump = support.ours("connection.pump")
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.preferences.addons[support.EXTENSION].preferences.cache_folder = folder
    print("ready", flush=True)
    plane = support.ours("jobs.image").new_image(bpy.context, model)
    support.ours("jobs.requests").wait(plane.draggan.request_id, support.TIMEOUT_S)
    support.ours("scene.points").add_pair(plane, (0.3, 0.5), (0.9, 0.5))
    bpy.context.view_layer.update()
    plane.draggan.drag.max_steps = 6
    if task == "long-drag":
        support.make_endless(plane)
    request_id = support.ours("jobs.drag").start_drag(bpy.context, plane)
    if task == "long-drag":
        pump.run_until(lambda now: now.step >= 2, support.TIMEOUT_S)
        print("dragging", pump.engine_pid(), flush=True)
    support.ours("jobs.requests").wait(request_id)
    print("status", plane.draggan.status, flush=True)
    support.disable()


if __name__ == "__main__":
    from pathlib import Path

    # With -P, unlike with Python itself, a script's folder is not on the path.
    here = str(Path(__file__).resolve().parent)
    if here not in sys.path:
        sys.path.insert(0, here)
    main()
    sys.stdout.flush()
    os._exit(0)
