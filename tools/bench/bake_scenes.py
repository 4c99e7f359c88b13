# SPDX-License-Identifier: GPL-3.0-or-later
"""`bake --scenes`: what a frame costs that goes on from the one before, against a cold drag.

A dozen motions of landmarks of Suzannes from random seeds, towards where another random image has
them: fast and slow, even and eased, to and fro and around.  Each has 48 frames, of which 12, after
two thirds of the motion, hold still.  Each fifth moving frame is dragged to cold as well, from the
edit's image, by an ordinary drag.

Steps are counted, and not seconds, because they are nearly the same on every machine.  A hold costs
nothing, whatever the solver: the moving frames are told apart.

    python dev.py bench bake --scenes [--list NAME] [--json FILE] [--threads N]
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from engine.arrays import FloatArray
from engine.baking.animated_edit import AnimatedEdit
from engine.baking.row import SolvedRow
from engine.baking.solve import BakeReport, solve
from engine.machine.device import open_device
from engine.machine.operators import await_operators
from engine.models import model_path
from engine.solving.drag import drag
from engine.solving.options import DragOptions
from stylegan2 import Generator, load_generator

from .landmarks import WEIGHTS, Detector
from .pairs import Pair, find_pairs, landmarks_of

MOVING, HELD = 36, 12
HELD_AFTER = 24
"""So many frames have moved when the hold begins."""
COLD_EVERY = 5
"""Of the moving frames; no motion comes round in so many."""


def _even(time: float) -> float:
    return time


def _eased(time: float) -> float:
    return time * time * (3 - 2 * time)


def _to_and_fro(rounds: float) -> Callable[[float], float]:
    return lambda time: math.sin(2 * math.pi * rounds * time)


MOTIONS: dict[str, Callable[[float], float]] = {
    "even": _even,
    "eased": _eased,
    "to and fro": _to_and_fro(1),
    "shaking": _to_and_fro(3),
}
"""How far along its way a handle is, by the part of the time that has passed; and `CIRCLE`."""
CIRCLE = "circle"


@dataclass(frozen=True)
class Scene:
    """One motion.

    Attributes:
        pair: which one of the list; it says which landmarks move, as in the benchmark of drags.
        handles: how many move, 1 or 3; 2 are the first two of the three.
        motion: of `MOTIONS`, or `CIRCLE`.
        share: how far the handles go at most, as a part of the way to where the pair's other image
            has them; a circle has this as its diameter.
    """

    pair: int
    handles: int
    motion: str
    share: float


SCENES = (
    Scene(0, 1, "even", 1.0),
    Scene(1, 3, "even", 1.0),
    Scene(2, 2, "even", 0.3),
    Scene(3, 2, "eased", 1.0),
    Scene(4, 1, "eased", 1.0),
    Scene(5, 3, "eased", 0.5),
    Scene(6, 1, "to and fro", 1.0),
    Scene(7, 2, "to and fro", 1.0),
    Scene(8, 3, "to and fro", 0.5),
    Scene(9, 2, "shaking", 0.5),
    Scene(10, 1, CIRCLE, 1.0),
    Scene(11, 3, CIRCLE, 1.0),
)


@dataclass(frozen=True)
class SceneResult:
    """What the bake of a scene has cost, and what came out.

    Attributes:
        warm_steps: of each frame but the first, which starts from the edit's image as a drag does.
        moving: of the same frames, whether the targets have moved.
        cold_steps: of the drags to the targets of some of the moving frames.
        distances_px: of each handle in each moving frame to its target.
        shakes_px: of each handle, how its distance from the target, as a vector, changes from what
            it would be between the frames before and after: what shows as a trembling.
        cold_distances_px: of each handle after the cold drags, as the drags have found them.
    """

    scene: Scene
    warm_steps: list[int]
    moving: list[bool]
    cold_steps: list[int]
    distances_px: list[float]
    shakes_px: list[float]
    cold_distances_px: list[float]


def times(frames: int = MOVING, held: int = HELD, held_after: int = HELD_AFTER) -> list[float]:
    """The part of the motion that has passed in each frame, the hold's frames among them."""
    moving = [frame / frames for frame in range(1, frames + 1)]
    return moving[:held_after] + [moving[held_after - 1]] * held + moving[held_after:]


def edit_of(
    generator: Generator, scene: Scene, pair: Pair, passed: Sequence[float]
) -> AnimatedEdit:
    """A scene as an edit of its pair's first image."""
    size_px = generator.img_shape[1]
    landmarks = list(landmarks_of(pair.index, 1 if scene.handles == 1 else 3)[: scene.handles])
    handles, others = pair.points_px[:, landmarks]
    ways = scene.share * (others - handles)
    targets = np.stack([handles + _moved(scene, ways, time) for time in passed])
    return AnimatedEdit(
        first_number=1,
        latent=pair.latents[0],
        handles_px=handles,
        targets_px=targets.clip(1, size_px - 1).astype(np.float32),
        image_size=(size_px, size_px),
        options=((0, DragOptions()),),
    )


def _moved(scene: Scene, ways: FloatArray, time: float) -> FloatArray:
    """How far each handle is from home at a time, `P x 2`."""
    if scene.motion != CIRCLE:
        return MOTIONS[scene.motion](time) * ways
    angle = 2 * math.pi * time
    turned = np.stack([-ways[:, 1], ways[:, 0]], axis=1)
    moved: FloatArray = ((1 - math.cos(angle)) * ways + math.sin(angle) * turned) / 2
    return moved


def measure_scene(generator: Generator, scene: Scene, pair: Pair) -> SceneResult:
    """Bake a scene, and drag to some of its frames cold."""
    edit = edit_of(generator, scene, pair, times())
    rows = solve(generator, edit, edit.keys(""), {}, BakeReport())
    moving = [not edit.is_like_before(row) for row in range(len(edit))]
    sample = np.flatnonzero(moving)[COLD_EVERY - 1 :: COLD_EVERY]
    cold = [_cold(generator, edit, int(row)) for row in sample]
    errors = errors_of(edit, rows)
    return SceneResult(
        scene=scene,
        warm_steps=[row.steps for row in rows[1:]],
        moving=moving[1:],
        cold_steps=[steps for steps, _ in cold],
        distances_px=np.linalg.norm(errors[moving], axis=2).flatten().tolist(),
        shakes_px=shakes_of(errors).tolist(),
        cold_distances_px=np.concatenate([distances for _, distances in cold]).tolist(),
    )


def errors_of(edit: AnimatedEdit, rows: Sequence[SolvedRow]) -> FloatArray:
    """`T x P x 2`: where the handles are, less where they should be."""
    errors: FloatArray = np.stack([row.handles_px for row in rows]) - edit.targets_px
    return errors


def shakes_of(errors: FloatArray) -> FloatArray:
    """How far each handle of each inner frame is off the middle of those before and after."""
    off = errors[1:-1] - (errors[:-2] + errors[2:]) / 2
    lengths: FloatArray = np.linalg.norm(off, axis=2).flatten()
    return lengths


def _cold(generator: Generator, edit: AnimatedEdit, row: int) -> tuple[int, FloatArray]:
    """Steps of a drag from the edit's image to a frame's targets, and how near it has come."""
    inputs = edit.inputs(row)
    result = drag(generator, edit.latent, edit.handles_px, inputs.targets_px, inputs.options)
    distances: FloatArray = np.linalg.norm(result.handles_px[-1] - inputs.targets_px, axis=1)
    return result.steps, distances


def measure_scenes(name: str, tell: Callable[[SceneResult], None]) -> list[SceneResult]:
    """All scenes, of a list of pairs, on the built-in model; `tell` is called after each."""
    generator = load_generator(model_path("suzanne"))
    count = 1 + max(scene.pair for scene in SCENES)
    pairs = find_pairs(generator, Detector.load(WEIGHTS), name, count)
    results = []
    for scene in SCENES:
        results.append(measure_scene(generator, scene, pairs[scene.pair]))
        tell(results[-1])
    return results


def summary(results: Sequence[SceneResult]) -> dict[str, float]:
    """Means over all frames and handles of some scenes.

    Returns:
        `steps` of a frame, held ones among them; `moving` of a moving one; `cold` of a cold drag;
        `ratio` of the first to the third, `moving_ratio` of the second to it; `distance`,
        `distance_95`: mean and 95 % of all, px; `cold_distance`; `shake`: root mean square, px.
    """

    def of(name: str) -> FloatArray:
        values: FloatArray = np.concatenate([getattr(result, name) for result in results])
        return values

    warm, cold, distances = of("warm_steps"), of("cold_steps").mean(), of("distances_px")
    moving = warm[of("moving").astype(bool)].mean()
    # Cold drags that have nothing to do have no ratio.
    least = np.finfo(np.float64).tiny
    figures = {
        "steps": warm.mean(),
        "moving": moving,
        "cold": cold,
        "ratio": warm.mean() / max(cold, least),
        "moving_ratio": moving / max(cold, least),
        "distance": distances.mean(),
        "distance_95": np.percentile(distances, 95),
        "cold_distance": of("cold_distances_px").mean(),
        "shake": np.sqrt(np.square(of("shakes_px")).mean()),
    }
    return {name: round(float(value), 4) for name, value in figures.items()}


def heading() -> str:
    """The line above those of `line_of`."""
    columns = ("steps", "moving", "cold", "ratio", "of moving", "px", "95 %", "cold px", "shake")
    return f"{'motion':<11}{'handles':>8}" + "".join(f"{text:>10}" for text in columns)


def line_of(motion: str, handles: str, results: Sequence[SceneResult]) -> str:
    """The figures of some scenes for people."""
    cells = "".join(f"{value:>10.2f}" for value in summary(results).values())
    return f"{motion:<11}{handles:>8}{cells}"


def run(name: str, threads: int, file: Path | None) -> None:
    """Measure all scenes of a list and print them, each as soon as it is known."""
    await_operators(open_device("cpu", threads))
    print(heading())

    def tell(result: SceneResult) -> None:
        scene = result.scene
        print(line_of(scene.motion, str(scene.handles), [result]), flush=True)

    results = measure_scenes(name, tell)
    print(line_of("all", "", results))
    if file:
        scenes = [asdict(result) for result in results]
        file.write_text(json.dumps({"all": summary(results), "scenes": scenes}, indent=1) + "\n")
