# SPDX-License-Identifier: GPL-3.0-or-later
"""The main job from a script: Suzanne turns her head and lifts an ear, in the ``bpy`` module.

Installs the built zip as a real extension into a temporary user folder, and uses it as any
script would: new image, pairs of points, drag. Leaves a .blend, the frames and a picture, and
fails when a handle is not within two pixels of its target, or when the image changed as much
where nothing was to change as where Suzanne is.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "bl_ext.user_default.draggan_blender"
SEED = 4
#: Handle and target of the nose and of an ear, from the image's bottom left.
PAIRS_UV = (((0.513, 0.446), (0.67, 0.43)), ((0.18, 0.491), (0.165, 0.569)))
WITHIN_PX = 2.0


def main() -> int:
    """Do it all; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="where results go")
    parser.add_argument("--model", default="suzanne", help="another model than the built-in one")
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    out = options.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    user = tempfile.mkdtemp(prefix="draggan-demo-")
    os.environ["BLENDER_USER_RESOURCES"] = user
    os.environ["DRAGGAN_ENGINE_PYTHON"] = sys.executable
    started_s = time.monotonic()
    try:
        _install(options.zip.absolute())
        return _demo(options.model, options.seed, out, started_s)
    finally:
        _disable()
        shutil.rmtree(user, ignore_errors=True)


def _demo(model: str, seed: int, out: Path, started_s: float) -> int:
    import bpy

    images, wait = _ours("scene.images"), _ours("jobs.requests").wait
    # The frames of an earlier demo: each image has a folder with a number of its own.
    shutil.rmtree(out / "draggan", ignore_errors=True)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.preferences.filepaths.save_version = 0  # no .blend1 beside the .blend
    blend = out / "suzanne.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend))

    print("Starting the engine", flush=True)
    plane = _ours("jobs.image").new_image(bpy.context, model, seed)
    wait(plane.draggan.request_id)
    for handle_uv, target_uv in PAIRS_UV:
        _ours("scene.points").add_pair(plane, handle_uv, target_uv)
    _set_up_view(plane)
    _drag(plane)
    left_px = _distances_px(plane)
    near, border = _changes(images.sequence_folder(plane))
    # The playhead is at the result, and playing shows how it came about.
    bpy.context.scene.frame_end = bpy.context.scene.frame_current
    bpy.ops.wm.save_mainfile()

    folder, picture = images.sequence_folder(plane), out / "before_after.png"
    subprocess.run(
        [sys.executable, "-m", "tools.demo_picture", str(folder), str(picture)],
        cwd=ROOT,
        check=True,
    )
    print(f"\n{plane.draggan.status}")
    print(f"Frames:  {folder}\nBlend:   {blend}\nPicture: {picture}")
    print(f"Handles end {max(left_px):.2f} px from their targets at the most")
    print(
        f"The image changed by {near:.1f} levels of 255 in its middle, {border:.1f} at its border"
    )
    print(f"{time.monotonic() - started_s:.0f} s in all", flush=True)
    return 0 if max(left_px) <= WITHIN_PX and near > 3.0 * border else 1


def _drag(plane: Any) -> None:
    """Drag, and say every other step how far it is."""
    import bpy

    requests = _ours("jobs.requests")
    request_id, told = _ours("jobs.drag").start_drag(bpy.context, plane), -1

    def over(state: Any) -> bool:
        nonlocal told
        if state.step // 2 != told and state.distance_px is not None:
            told = state.step // 2
            print(f"Step {state.step:3d}: {state.distance_px:.2f} px to go", flush=True)
        return request_id in requests.endings

    _ours("connection.pump").run_until(over, 600.0)
    requests.wait(request_id, 0.0)


def _distances_px(plane: Any) -> list[float]:
    """How far each handle is from its target, as the scene has them now."""
    import bpy

    placed = _ours("scene.points").read_pairs(bpy.context, plane)
    return [
        sum((a - b) ** 2 for a, b in zip(entry.handle_px, entry.target_px, strict=True)) ** 0.5
        for entry in placed
    ]


def _changes(folder: Path) -> tuple[float, float]:
    """Mean change from first to last frame: in the middle half, where Suzanne is, and around it.

    Returns:
        Two numbers of levels of 255; the second is of the outermost sixteenth on each side.
    """
    import bpy

    levels = []
    files = sorted(folder.glob("*.png"))
    for path in (files[0], files[-1]):
        image = bpy.data.images.load(str(path))
        width, height = image.size
        pixels = np.empty(width * height * 4, dtype=np.float32)
        image.pixels.foreach_get(pixels)
        levels.append(pixels.reshape(height, width, 4)[:, :, :3] * 255.0)
        bpy.data.images.remove(image)
    change = np.abs(levels[1] - levels[0]).mean(axis=2)
    rim = np.ones_like(change, dtype=bool)
    rim[height // 16 : -height // 16, width // 16 : -width // 16] = False
    middle = change[height // 4 : -height // 4, width // 4 : -width // 4]
    return float(middle.mean()), float(change[rim].mean())


def _set_up_view(plane: Any) -> None:
    """A camera above the plane, true colours, and 3D views that show both; it is our file."""
    import bpy

    scene = bpy.context.scene
    scene.view_settings.view_transform, scene.view_settings.look = "Standard", "None"
    scene.render.resolution_x = scene.render.resolution_y = 512
    camera = bpy.data.cameras.new("Camera")
    camera.type, camera.ortho_scale = "ORTHO", max(plane.dimensions)
    scene.camera = bpy.data.objects.new("Camera", camera)
    scene.camera.location = (0.0, 0.0, 2.0)
    scene.collection.objects.link(scene.camera)
    for screen in bpy.data.screens:
        for area in screen.areas:
            if area.type == "VIEW_3D":
                area.spaces.active.shading.type = "MATERIAL"
                area.spaces.active.region_3d.view_perspective = "CAMERA"
    bpy.context.view_layer.update()


def _install(archive: Path) -> None:
    import bpy

    # Lies in a folder that is importable once bpy is.
    addon_utils = importlib.import_module("addon_utils")
    addon_utils.enable("bl_pkg")
    bpy.ops.extensions.package_install_files(
        repo="user_default", filepath=str(archive), enable_on_install=True
    )


def _disable() -> None:
    importlib.import_module("addon_utils").disable(PACKAGE)


def _ours(name: str) -> Any:
    return importlib.import_module(f"{PACKAGE}.draggan_blender.{name}")


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: Blender as a module can hang at the interpreter's end.
    os._exit(code)
