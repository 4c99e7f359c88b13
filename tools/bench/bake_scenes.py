# SPDX-License-Identifier: GPL-3.0-or-later
"""``bake --scenes``: steps of frames that start from the frame before, against cold drags.

The scenes are twelve motions of landmarks of Suzannes from random seeds, towards the positions in
another random image: fast and slow, even and eased, back and forth, and in circles. Each has 48
frames. The targets stand still in 12 of them, after two thirds of the motion. Every fifth moving
frame is also solved by a cold drag: an ordinary drag from the edit's image.

Steps are counted and not seconds, because steps are nearly the same on every machine. A frame whose
targets stand still needs no step with any solver, so the moving frames are also listed alone::

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

# Number of moving frames, of frames that stand still, and of moving frames before these.
MOVING, HELD = 36, 12
HELD_AFTER = 24
# A cold drag is made for every fifth moving frame; no motion has a period divisible by five.
COLD_EVERY = 5


def _even(time: float) -> float:
    return time


def _eased(time: float) -> float:
    return time * time * (3 - 2 * time)


def _to_and_fro(rounds: float) -> Callable[[float], float]:
    return lambda time: math.sin(2 * math.pi * rounds * time)


# The distance of a handle from its start as a share of its path, as a function of the share of the
# time that has passed.
MOTIONS: dict[str, Callable[[float], float]] = {
    "even": _even,
    "eased": _eased,
    "to and fro": _to_and_fro(1),
    "shaking": _to_and_fro(3),
}
# The one motion that does not follow a straight line.
CIRCLE = "circle"


@dataclass(frozen=True)
class Scene:
    """One motion.

    Attributes:
        pair: Number of the pair in its list; it decides which landmarks move, as in ``drag``.
        handles: Number of handles, 1 to 3; 2 are the first two of the three.
        motion: A key of ``MOTIONS``, or ``CIRCLE``.
        share: The largest distance of the handles from their start, as a share of the distance to
            the landmarks of the pair's other image. It is the diameter of a circle.
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
    """Cost and accuracy of the bake of a scene; all lengths are image pixels.

    Attributes:
        scene: The scene.
        warm_steps: Steps of each frame but the first, which starts from the edit's image like any
            drag.
        moving: For the same frames, whether the targets have moved since the frame before.
        cold_steps: Steps of the cold drags to the targets of some of the moving frames.
        distances_px: Distance of each handle from its target in each moving frame.
        shakes_px: ``shakes_of`` all frames: how much each handle trembles.
        cold_distances_px: Distance of each handle from its target after the cold drags.
    """

    scene: Scene
    warm_steps: list[int]
    moving: list[bool]
    cold_steps: list[int]
    distances_px: list[float]
    shakes_px: list[float]
    cold_distances_px: list[float]


def times(frames: int = MOVING, held: int = HELD, held_after: int = HELD_AFTER) -> list[float]:
    """Return the share of the motion that has passed in each frame, above 0 and at most 1.

    Args:
        frames: Number of moving frames.
        held: Number of frames that stand still.
        held_after: Number of moving frames before these.

    Returns:
        ``frames + held`` numbers.
    """
    moving = [frame / frames for frame in range(1, frames + 1)]
    return moving[:held_after] + [moving[held_after - 1]] * held + moving[held_after:]


def edit_of(
    generator: Generator, scene: Scene, pair: Pair, passed: Sequence[float]
) -> AnimatedEdit:
    """Return a scene as an edit of its pair's first image.

    Args:
        generator: The model of the pair.
        scene: The motion.
        pair: Image A is edited; landmarks move towards their positions in image B.
        passed: For each frame, the share of the motion that has passed, 0 to 1.
    """
    size_px = generator.img_shape[1]
    landmarks = list(landmarks_of(pair.index, 1 if scene.handles == 1 else 3)[: scene.handles])
    handles, others = pair.points_px[:, landmarks]
    paths = scene.share * (others - handles)
    targets = np.stack([handles + _moved(scene, paths, time) for time in passed])
    return AnimatedEdit(
        first_number=1,
        latent=pair.latents[0],
        handles_px=handles,
        targets_px=targets.clip(1, size_px - 1).astype(np.float32),
        image_size=(size_px, size_px),
        options=((0, DragOptions()),),
    )


def _moved(scene: Scene, paths: FloatArray, time: float) -> FloatArray:
    """Return the offset of each handle from its start at a time: ``P x 2``, image pixels."""
    if scene.motion != CIRCLE:
        return MOTIONS[scene.motion](time) * paths
    angle = 2 * math.pi * time
    turned = np.stack([-paths[:, 1], paths[:, 0]], axis=1)
    moved: FloatArray = ((1 - math.cos(angle)) * paths + math.sin(angle) * turned) / 2
    return moved


def measure_scene(generator: Generator, scene: Scene, pair: Pair) -> SceneResult:
    """Bake a scene, and make a cold drag to every ``COLD_EVERY``-th of its moving frames."""
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
    """Return the handles' positions minus their targets: ``T x P x 2`` float32, image pixels."""
    errors: FloatArray = np.stack([row.handles_px for row in rows]) - edit.targets_px
    return errors


def shakes_of(errors: FloatArray) -> FloatArray:
    """Return how much handles tremble.

    Args:
        errors: ``T x P x 2`` float32, as ``errors_of`` returns them.

    Returns:
        ``(T - 2) * P`` float32 in the unit of ``errors``: for each frame but the first and last,
        the distance of each handle's error from the mean of those of the two adjacent frames.
    """
    off = errors[1:-1] - (errors[:-2] + errors[2:]) / 2
    lengths: FloatArray = np.linalg.norm(off, axis=2).flatten()
    return lengths


def _cold(generator: Generator, edit: AnimatedEdit, row: int) -> tuple[int, FloatArray]:
    """Drag from the edit's image to a frame's targets.

    Returns:
        The number of steps, and the distance of each handle from its target, ``P`` float32, image
        pixels.
    """
    inputs = edit.inputs(row)
    result = drag(generator, edit.latent, edit.handles_px, inputs.targets_px, inputs.options)
    distances: FloatArray = np.linalg.norm(result.handles_px[-1] - inputs.targets_px, axis=1)
    return result.steps, distances


def measure_scenes(name: str, on_result: Callable[[SceneResult], None]) -> list[SceneResult]:
    """Measure all scenes with the built-in model.

    Args:
        name: The list of pairs, a key of ``pairs.FIRST_SEEDS``.
        on_result: Is called with the result of each scene when it is done.
    """
    generator = load_generator(model_path("suzanne"))
    count = 1 + max(scene.pair for scene in SCENES)
    pairs = find_pairs(generator, Detector.load(WEIGHTS), name, count)
    results = []
    for scene in SCENES:
        results.append(measure_scene(generator, scene, pairs[scene.pair]))
        on_result(results[-1])
    return results


def summary(results: Sequence[SceneResult]) -> dict[str, float]:
    """Return means over all frames and handles of some scenes.

    Returns:
        ``steps``: mean steps of all frames, ``moving``: of the moving frames, ``cold``: of the cold
        drags; ``ratio``: ``steps / cold``, ``moving_ratio``: ``moving / cold``; ``distance`` and
        ``distance_95``: mean and 95th percentile of the distances from the targets, px;
        ``cold_distance``: their mean after the cold drags, px; ``shake``: root mean square, px.
    """

    def of(name: str) -> FloatArray:
        values: FloatArray = np.concatenate([getattr(result, name) for result in results])
        return values

    warm, cold, distances = of("warm_steps"), of("cold_steps").mean(), of("distances_px")
    moving = warm[of("moving").astype(bool)].mean()
    # Keeps the ratio finite if no cold drag made a step.
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
    """Return the line of column headings above those of ``line_of``."""
    columns = ("steps", "moving", "cold", "ratio", "of moving", "px", "95 %", "cold px", "shake")
    return f"{'motion':<11}{'handles':>8}" + "".join(f"{text:>10}" for text in columns)


def line_of(motion: str, handles: str, results: Sequence[SceneResult]) -> str:
    """Return the figures of some scenes as a line of the table."""
    cells = "".join(f"{value:>10.2f}" for value in summary(results).values())
    return f"{motion:<11}{handles:>8}{cells}"


def run(name: str, threads: int, file: Path | None) -> None:
    """Measure all scenes of a list and print the result of each when it is done.

    Args:
        name: The list of pairs, a key of ``pairs.FIRST_SEEDS``.
        threads: CPU threads; 0 leaves the choice to torch.
        file: Where the results are written as JSON; None for nowhere.
    """
    await_operators(open_device("cpu", threads))
    print(heading())

    def print_result(result: SceneResult) -> None:
        scene = result.scene
        print(line_of(scene.motion, str(scene.handles), [result]), flush=True)

    results = measure_scenes(name, print_result)
    print(line_of("all", "", results))
    if file:
        scenes = [asdict(result) for result in results]
        file.write_text(json.dumps({"all": summary(results), "scenes": scenes}, indent=1) + "\n")
