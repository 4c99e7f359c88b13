# SPDX-License-Identifier: GPL-3.0-or-later
"""A demo in the ``bpy`` module: Suzanne turns her head and lifts an ear.

It installs the built zip as an extension into a temporary user folder and uses it like any script:
new image, pairs of points, drag. It writes a .blend, the frames and a picture. It fails if a handle
ends more than two pixels from its target, or if the border of the image, which must not change,
changes more than a third as much as the middle.
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
# Handle and target of the nose and of an ear, (u, v) in [0, 1] from the image's bottom left.
PAIRS_UV = (((0.513, 0.446), (0.67, 0.43)), ((0.18, 0.491), (0.165, 0.569)))
WITHIN_PX = 2.0


def main() -> int:
    """Run the demo; returns the exit code, 1 if the result is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zip", type=Path, required=True, help="the built extension")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for the results")
    parser.add_argument("--model", default="suzanne", help="a built-in model's name, or a file")
    parser.add_argument("--seed", type=int, default=SEED, help="seed of the start image")
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
    # Remove the frames of an earlier demo, because each new image gets another folder.
    shutil.rmtree(out / "draggan", ignore_errors=True)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    bpy.context.preferences.filepaths.save_version = 0  # do not write a .blend1
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
    # The playhead is at the result, and playback shows the drag.
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
    print(f"Largest distance of a handle from its target: {max(left_px):.2f} px")
    print(f"Change of the image, of 255: {near:.1f} in its middle, {border:.1f} at its border")
    print(f"Total time: {time.monotonic() - started_s:.0f} s", flush=True)
    return 0 if max(left_px) <= WITHIN_PX and near > 3.0 * border else 1


def _drag(plane: Any) -> None:
    """Drag, and print the distance at every second step."""
    import bpy

    requests = _ours("jobs.requests")
    request_id, printed = _ours("jobs.drag").start_drag(bpy.context, plane), -1

    def over(state: Any) -> bool:
        nonlocal printed
        if state.step // 2 != printed and state.distance_px is not None:
            printed = state.step // 2
            print(f"Step {state.step:3d}: {state.distance_px:.2f} px to go", flush=True)
        return request_id in requests.endings

    _ours("connection.pump").run_until(over, 600.0)
    requests.wait(request_id, 0.0)


def _distances_px(plane: Any) -> list[float]:
    """Return the distance of each handle from its target in the scene, image pixels."""
    import bpy

    placed = _ours("scene.placing").read_pairs(bpy.context, plane)
    return [
        sum((a - b) ** 2 for a, b in zip(entry.handle_px, entry.target_px, strict=True)) ** 0.5
        for entry in placed
    ]


def _changes(folder: Path) -> tuple[float, float]:
    """Return the mean change from the first to the last frame, 0 to 255.

    Returns:
        The change in the middle half, where Suzanne is, and in the outermost sixteenth on each
        side.
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
    """Add a camera above the plane, and set true colours and 3D views that show them."""
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

    # Importing bpy makes its folder importable.
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
    # Not sys.exit: Blender as a module can hang when the interpreter ends.
    os._exit(code)
