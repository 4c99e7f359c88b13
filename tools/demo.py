# SPDX-License-Identifier: GPL-3.0-or-later
"""A demo in the ``bpy`` module: Suzanne lifts one ear, widens one eye and opens her mouth.

It installs the built zip as an extension into a temporary user folder and uses it like any script:
new image, and for each part a mask, a pair of points and a drag. It writes a .blend, the frames and
a picture. It fails if a handle ends more than two pixels from its target, if the part does not
change, or if a pixel that no mask let change has changed at all.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "bl_ext.user_default.draggan_blender"
SEED = 9
WITHIN_PX = 2.0
# A part must change by this much, mean of its pixels, of 255.
LEAST_CHANGE = 5.0


@dataclass(frozen=True)
class Edit:
    """A drag of one part under a mask. Places are (u, v) in [0, 1] from the image's bottom left.

    Attributes:
        name: What happens.
        handle_uv: Where the handle is.
        target_uv: Where it goes.
        lasso_uv: From where to where the part reaches, before and after; everything closer than
            ``margin`` to the line between may change.
        margin: See ``lasso_uv``; 1 is the image's width.
        radius: The radius of the region that is moved as one, 1 is the image's width; 0 for a
            point.
        scale: By which factor the region grows.
    """

    name: str
    handle_uv: tuple[float, float]
    target_uv: tuple[float, float]
    lasso_uv: tuple[tuple[float, float], tuple[float, float]]
    margin: float
    radius: float = 0.0
    scale: float = 1.0

    def outline_uv(self) -> list[tuple[float, float]]:
        """Return the corners of the mask's outline, as drawn with the lasso."""
        (u0, v0), (u1, v1) = self.lasso_uv
        along = math.atan2(v1 - v0, u1 - u0)
        corners = []
        for step in range(24):
            angle = along + math.radians(15.0 * step + 97.5)
            u, v = (u0, v0) if step < 12 else (u1, v1)
            corners.append((u + self.margin * math.cos(angle), v + self.margin * math.sin(angle)))
        return corners


EDITS = (
    Edit(
        "lift an ear",
        handle_uv=(0.185, 0.514),
        target_uv=(0.154, 0.639),
        lasso_uv=((0.185, 0.514), (0.157, 0.63)),
        margin=0.12,
    ),
    Edit(
        "widen an eye",
        handle_uv=(0.362, 0.55),
        target_uv=(0.362, 0.55),
        lasso_uv=((0.36, 0.55), (0.364, 0.55)),
        margin=0.12,
        radius=0.047,
        scale=1.5,
    ),
    Edit(
        "open the mouth",
        handle_uv=(0.536, 0.209),
        target_uv=(0.536, 0.115),
        lasso_uv=((0.533, 0.22), (0.536, 0.13)),
        margin=0.14,
    ),
)


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
    _set_up_view(plane)
    done = [_edit(plane, edit) for edit in EDITS]
    left_px = max(entry["left_px"] for entry in done)
    folder, picture = images.sequence_folder(plane), out / "before_after.png"
    changed, kept = _changes(folder, [entry["frame"] for entry in done])
    # The playhead is at the result, and playback shows the drags.
    bpy.context.scene.frame_end = bpy.context.scene.frame_current
    bpy.ops.wm.save_mainfile()

    subprocess.run(
        [sys.executable, "-m", "tools.demo_picture", str(folder), str(picture), json.dumps(done)],
        cwd=ROOT,
        check=True,
    )
    print(f"\n{plane.draggan.status}")
    print(f"Frames:  {folder}\nBlend:   {blend}\nPicture: {picture}")
    print(f"Largest distance of a handle from its target: {left_px:.2f} px")
    for edit, inside in zip(EDITS, changed, strict=True):
        print(f"Change inside the mask, {edit.name}: {inside:.1f} of 255")
    print(f"Largest change of a pixel outside the masks: {kept:.0f} of 255")
    print(f"Total time: {time.monotonic() - started_s:.0f} s", flush=True)
    is_good = left_px <= WITHIN_PX and min(changed) >= LEAST_CHANGE and kept == 0.0
    return 0 if is_good else 1


def _edit(plane: Any, edit: Edit) -> dict[str, Any]:
    """Mask a part and drag its point, like one after another by hand.

    Returns:
        The last ``frame``, how far the handle is from its target (``left_px``), and what the
        picture shows: ``handle_uv``, ``target_uv``, ``outline_uv``.
    """
    import bpy

    print(f"\n{edit.name.capitalize()}", flush=True)
    points, outline_uv = _ours("scene.points"), edit.outline_uv()
    while plane.draggan.pairs:
        points.remove_pair(plane, 0)
    pair = points.add_pair(plane, edit.handle_uv, edit.target_uv)
    pair.radius = edit.radius * max(plane.dimensions)
    pair.target.scale *= edit.scale
    bpy.context.view_layer.objects.active = plane
    corners = [{"name": "", "loc": corner, "time": 0.0} for corner in outline_uv]
    bpy.ops.draggan.mask_region(corners_uv=corners, how="REPLACE")
    _drag(plane)
    (placed,) = _ours("scene.placed_pairs").read_pairs(bpy.context, plane)
    return {
        "frame": bpy.context.scene.frame_current,
        "left_px": math.dist(placed.handle_px, placed.target_px),
        "handle_uv": edit.handle_uv,
        "target_uv": edit.target_uv,
        "outline_uv": outline_uv,
    }


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


def _changes(folder: Path, frames: list[int]) -> tuple[list[float], float]:
    """Return how much the images changed, 0 to 255.

    Args:
        folder: Contains the sequence.
        frames: The number of the last image of each edit.

    Returns:
        The mean change by each edit inside its mask, and the largest change from the first to the
        last image outside all masks. What a mask lets change ends at its edge.
    """
    shapes = _ours("scene.mask_shapes")
    first = min(folder.glob("*.png"))
    images = [_pixels(first)]
    images += [_pixels(first.with_stem(f"{first.stem[:-4]}{frame:04d}")) for frame in frames]
    height, width = images[0].shape[:2]
    inside = [shapes.polygon(edit.outline_uv(), width, height) > 0.0 for edit in EDITS]
    changed = [
        float(np.abs(after - before)[mask].mean())
        for mask, before, after in zip(inside, images, images[1:], strict=False)
    ]
    kept = np.abs(images[-1] - images[0])[~np.any(inside, axis=0)]
    return changed, float(kept.max())


def _pixels(path: Path) -> Any:
    """Return an image file as ``H x W x 3`` float32, 0 to 255, bottom row first."""
    import bpy

    image = bpy.data.images.load(str(path))
    width, height = image.size
    pixels = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    bpy.data.images.remove(image)
    return np.round(pixels.reshape(height, width, 4)[:, :, :3] * 255.0)


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
