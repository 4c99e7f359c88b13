# SPDX-License-Identifier: GPL-3.0-or-later
"""What people press, as ``tools/soak.py`` does it by chance.

The name of each operation is reported. It returns what became of it, and raises ``EditError`` or
``RuntimeError`` where the extension refuses it.
"""

from __future__ import annotations

import shutil

from tools.soak_scene import NOTHING, SoakScene, module, ops, push, wait

_MOST_PLANES = 3

# ------------------------------------------------------------ images


def new_image(scene: SoakScene) -> str:
    """Add an image with a random seed."""
    import bpy

    if len(scene.planes()) >= _MOST_PLANES:
        return NOTHING
    plane = module("jobs.image").new_image(bpy.context, seed=scene.chance.randrange(1000))
    wait(plane.draggan.request_id)
    return "done"


def seed(scene: SoakScene) -> str:
    """Choose another seed."""
    plane = scene.choose()
    if plane is None:
        return NOTHING
    plane.draggan.source.seed = scene.chance.randrange(1000)
    return "done"


def duplicate(scene: SoakScene) -> str:
    """Duplicate an image."""
    if len(scene.planes()) >= _MOST_PLANES or scene.choose() is None:
        return NOTHING
    ops().duplicate_image()
    return "done"


def delete(scene: SoakScene) -> str:
    """Delete an image, if there are several."""
    plane = scene.choose()
    if plane is None or len(scene.planes()) < 2:
        return NOTHING
    module("scene.planes").remove(plane)
    return "done"


def own_picture(scene: SoakScene) -> str:
    """Find the latent of the picture of an image for a second; tune the model sometimes."""
    import bpy

    plane = scene.choose()
    if plane is None:
        return NOTHING
    if plane.draggan.own.picture is None:
        if len(scene.planes()) >= _MOST_PLANES or plane.draggan.still is None:
            return NOTHING
        # A copy: the picture is a person's own, and no image of ours.
        picture = plane.draggan.still.copy()
        push("Copy")
        job = module("jobs.own_picture")
        plane = job.new_image(bpy.context, picture, seconds=1.0, refine=False)
        wait(plane.draggan.request_id)
        return "done"
    plane.draggan.own.seconds, plane.draggan.own.tune_seconds = 1.0, 1.0
    plane.draggan.own.tune = scene.chance.random() < 0.5
    push("Settings")
    wait(module("jobs.own_picture").invert_again(plane))
    return "done"


def blend_back(scene: SoakScene) -> str:
    """Compose the edits onto the picture."""
    plane = scene.choose()
    if plane is None or plane.draggan.own.picture is None:
        return NOTHING
    ops().blend_back()
    return "done"


# ------------------------------------------------------------ drags


def drag(scene: SoakScene) -> str:
    """Drag one or two points."""
    started = scene.start_drag()
    if started is None:
        return NOTHING
    wait(started)
    return "done"


def stop(scene: SoakScene) -> str:
    """Stop a drag, and keep its steps."""
    started = scene.start_drag()
    if started is None:
        return NOTHING
    scene.until_a_step()
    for plane in scene.planes():
        module("jobs.drag").stop_drag(plane)
    wait(started)
    return "done"


def cancel(scene: SoakScene) -> str:
    """Cancel a drag at any time."""
    if scene.start_drag() is None:
        return NOTHING
    module("connection.pump").run_until(lambda _now: False, scene.chance.uniform(0, 1))
    for plane in scene.planes():
        module("jobs.recovery").cancel(plane)
    return "done"


def live(scene: SoakScene) -> str:
    """Move a target, pause and go on, while an open drag follows."""
    import bpy

    started = scene.start_drag(is_open=True)
    plane = scene.active()
    if started is None or plane is None:
        return NOTHING
    live = module("jobs.live")
    for _ in range(scene.chance.randint(1, 4)):
        plane.draggan.pairs[0].target.location.x += scene.chance.uniform(-0.1, 0.1)
        bpy.context.view_layer.update()
        live.set_paused(plane, scene.chance.random() < 0.2)
        module("connection.pump").run_until(lambda _now: False, scene.chance.uniform(0, 0.5))
        if not live.is_open(plane):  # it failed
            break
    live.set_paused(plane, False)
    live.close(plane)
    wait(started)
    return "done"


def bake(scene: SoakScene) -> str:
    """Bake a few frames over a keyed target."""
    plane = scene.choose()
    if plane is None or not len(plane.draggan.pairs):
        return NOTHING
    target = plane.draggan.pairs[0].target
    target.keyframe_insert("location", frame=1)
    bake = plane.draggan.bake
    bake.use_own_range, bake.frame_start, bake.frame_end = True, 1, scene.chance.randint(2, 4)
    push("Key")
    wait(module("jobs.bake").start_bake(plane))
    return "done"


# ------------------------------------------------------------ masks, edits, sliders


def half_mask(scene: SoakScene) -> str:
    """Fix a part of the image, or remove the mask."""
    import numpy as np

    plane = scene.choose()
    if plane is None or not all(plane.draggan.size):
        return NOTHING
    if scene.chance.random() < 0.3:
        ops().mask_clear()
        return "done"
    width, height = plane.draggan.size
    levels = np.ones((height, width), np.float32)
    levels[: height // scene.chance.randint(2, 5)] = 0
    module("scene.mask_images").create(plane, levels)
    return "done"


def part(scene: SoakScene) -> str:
    """Select the part at a random place."""
    if scene.choose() is None:
        return NOTHING
    place = scene.chance.uniform(0.2, 0.8), scene.chance.uniform(0.2, 0.8)
    ops().select_part(place_uv=place, how=scene.chance.choice(("ADD", "SUBTRACT", "REPLACE")))
    return "done"


def edit(scene: SoakScene) -> str:
    """Begin an edit, or change one: its strength, its eye, its place in the list."""
    plane = scene.choose()
    if plane is None:
        return NOTHING
    rows = plane.draggan.edits
    if not len(rows) or scene.chance.random() < 0.3:
        ops().new_edit()
        return "done"
    plane.draggan.active_edit = scene.chance.randrange(len(rows))
    row, what = rows[plane.draggan.active_edit], scene.chance.randrange(5)
    if what == 0:
        row.strength = scene.chance.uniform(0, 1)
    elif what == 1:
        row.visible = not row.visible
    elif what == 2:
        ops().move_edit(direction=scene.chance.choice(("UP", "DOWN")))
    elif what == 3:
        ops().edit_this()
    else:
        ops().remove_edit()
    push("Edit")
    ops().render_edits()
    return "done"


def slider(scene: SoakScene) -> str:
    """Find directions, keep a drag as a slider, pull back, or move a slider."""
    plane = scene.choose()
    if plane is None:
        return NOTHING
    rows, what = plane.draggan.sliders, scene.chance.randrange(6)
    if not len(rows) or what == 0:
        ops().find_directions()
        return "done"
    plane.draggan.active_slider = scene.chance.randrange(len(rows))
    if what == 1:
        ops().keep_as_slider()
    elif what == 2:
        ops().pull_back()
    elif what == 3:
        ops().remove_slider()
    else:
        rows[plane.draggan.active_slider].strength = scene.chance.uniform(-1, 1)
        push("Slider")
        ops().render_sliders()
    return "done"


def style(scene: SoakScene) -> str:
    """Take the style of the other images."""
    if scene.choose() is None or len(scene.planes()) != 2:
        return NOTHING
    scene.select_all()
    ops().mix_style()
    return "done"


def many(scene: SoakScene) -> str:
    """Keep a drag as a slider, and apply it to the other images."""
    started = scene.start_drag() if len(scene.planes()) > 1 else None
    if started is None:
        return NOTHING
    wait(started)
    ops().keep_as_slider()
    scene.select_all()
    ops().apply_to_many()
    return "done"


def history(scene: SoakScene) -> str:
    """Go to a state of the history, or delete the active one."""
    plane = scene.choose()
    if plane is None or not len(plane.draggan.history.states):
        return NOTHING
    if scene.chance.random() < 0.2:
        ops().delete_state()
    else:
        numbers = [state.number for state in plane.draggan.history.states]
        ops().go_to_state(number=scene.chance.choice(numbers))
    return "done"


# ------------------------------------------------------------ files


def export(scene: SoakScene) -> str:
    """Export the images of a sequence."""
    plane = scene.choose()
    if plane is None or plane.draggan.sequence.image is None:
        return NOTHING
    ops().export_frames(directory=str(scene.exports))
    shutil.rmtree(scene.exports, ignore_errors=True)
    return "done"


def render(scene: SoakScene) -> str:
    """Render a frame."""
    import bpy

    shown = bpy.context.scene
    if shown.camera is None:
        camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
        shown.collection.objects.link(camera)
        camera.location.z, shown.camera = 5.0, camera
    shown.render.engine, shown.cycles.samples, shown.cycles.device = "CYCLES", 1, "CPU"
    shown.render.resolution_x = shown.render.resolution_y = 32
    shown.frame_set(scene.chance.randint(1, 6))
    push("Camera")
    bpy.ops.render.render()
    return "done"


def undo(scene: SoakScene) -> str:
    """Undo, or redo."""
    import bpy

    (bpy.ops.ed.undo if scene.chance.random() < 0.7 else bpy.ops.ed.redo)()
    bpy.context.view_layer.update()
    return "done"


def save(scene: SoakScene) -> str:
    """Save the file."""
    import bpy

    bpy.ops.wm.save_as_mainfile(filepath=str(scene.blend))
    return "done"


def reopen(scene: SoakScene) -> str:
    """Save, open the file again, and check that its images are the same."""
    import bpy

    bpy.ops.wm.save_as_mainfile(filepath=str(scene.blend))
    before = scene.images()
    bpy.ops.wm.open_mainfile(filepath=str(scene.blend))
    push("Reopened")
    after = scene.images()
    if after != before:
        changed = [pair for pair in zip(before, after, strict=False) if pair[0] != pair[1]]
        raise AssertionError(f"the .blend did not reopen with the same images: {changed}")
    return "done"


# What people do most is there twice.
USUAL = (
    new_image,
    drag,
    drag,
    stop,
    cancel,
    live,
    undo,
    undo,
    bake,
    half_mask,
    part,
    edit,
    edit,
    seed,
    slider,
    slider,
    style,
    many,
    own_picture,
    blend_back,
    history,
    history,
    duplicate,
    delete,
    export,
    render,
    save,
    reopen,
)
