# SPDX-License-Identifier: GPL-3.0-or-later
"""A drag: moves handles to their targets by changing the latent of a generator.

It takes options, returns a result and calls a function for each step. It uses no sockets, files or
Blender; ``loop`` has the steps. A drag keeps no state (reference features, optimiser
moments) from earlier drags. On the CPU the result depends only on the arguments and the number of
threads.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable, Sequence

from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..features.source import ImageOf
from ..inputs import check_latent, check_mask
from ..pictures import OpenPicture, Picture, open_picture
from .lock import Locked
from .loop import Home, Loop
from .options import DragOptions
from .points import LiveChanges, LivePoints
from .result import DragResult, DragStep
from .two_ways import TwoWays, second_way


def drag(
    generator: Generator,
    latent: FloatArray,
    handles_px: FloatArray,
    targets_px: FloatArray,
    options: DragOptions,
    *,
    mask: ByteArray | None = None,
    origin: FloatArray | None = None,
    home: Home | None = None,
    least_steps: int = 0,
    enough_px: float = 0.0,
    windows: bool | None = None,
    keys: Sequence[Hashable] | None = None,
    radii_px: FloatArray | None = None,
    turns: FloatArray | None = None,
    judged: bool = False,
    changes: LiveChanges | None = None,
    opened: OpenPicture | None = None,
    locked: Locked | None = None,
    on_step: Callable[[DragStep], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    image_of: ImageOf | None = None,
) -> DragResult:
    """Drag points of an image to their targets.

    Args:
        generator: Frozen, on the device to compute on.
        latent: ``num_ws x w_dim`` float32, the latent to start from.
        handles_px: ``P x 2`` float, P > 0, (x, y) in image pixels, inside the image.
        targets_px: ``P x 2`` float, the target of each handle, in image pixels.
        options: The options of the drag.
        mask: ``H x W`` uint8 in the image's size, 255 = may change, 0 = fixed; None if everything
            may change. The option ``mask_mode`` says whether it holds exactly.
        origin: ``num_ws x w_dim`` float32, the latent of the original image if this drag continues
            earlier ones. The fixed area keeps the features of the origin, and a method that
            reverts changes which no handle needs reverts them towards the origin. None for
            ``latent``.
        home: Where the price of changes is measured, and from where the ways of the handles begin
            that may change the picture; None for ``latent`` and ``handles_px``. Drags of one edit
            with the same home have the same metric, so that their results stay alike.
        least_steps: The smallest number of steps, even if the handles are at their targets.
        enough_px: Once all handles are this close to their targets, image pixels, a method need
            not move them closer, even if it could.
        windows: True to compute features only in windows around the handles, False to compute
            whole maps, None for whichever is cheaper.
        keys: A key for each point, by which ``changes`` refers to it; None for their numbers.
        radii_px: ``P`` float, the radius of each region, image pixels, 0 for a plain point; None if
            all are plain. See ``regions``.
        turns: ``P x 2`` float, the angle (radians, counter-clockwise as a person sees the image)
            and the scale of each region at its target, 0 and 1 for a plain point; None if all are.
        judged: Whether to find out which points cannot be followed, at the start, and which were
            lost, at the end. A drag that has lost a handle ends with the status ``lost`` and not
            ``reached``.
        changes: Replaces the points while the drag runs; see ``points.LiveChanges``. A drag whose
            points can be replaced makes no second attempt from its start. An exception that it
            raises ends the drag and is not caught.
        opened: The picture that ``latent`` belongs to, opened under the mask, see ``open_for``;
            None to open the picture of ``latent`` alone.
        locked: Directions that the latent must not change along, or only along; None for neither.
        on_step: Called with every step, the start included, but not with those of a second way
            (see ``two_ways``). An exception that it raises ends the drag and is not caught.
        should_stop: Called after each step and between the passes of a step; if it returns True,
            the drag ends with the last complete step. An exception that it raises ends the drag
            and is not caught.
        image_of: Asked for the pass of the image of a latent that is about to be shown. The
            features are then cut from the image's, and not computed again; they differ by rounding.
            None if no image is shown.

    Raises:
        RequestError: The arguments do not match the generator or each other, or the model computes
            values that are not finite for the latent.
    """
    started = time.monotonic()
    points = LivePoints(
        keys=range(len(handles_px)) if keys is None else keys,
        handles_px=handles_px,
        targets_px=targets_px,
        radii_px=radii_px,
        turns=turns,
    )
    start = check_latent(generator, latent)
    origin_latent = None if origin is None else check_latent(generator, origin)
    fixed = check_mask(generator, mask)
    if opened is None:
        opened = open_for(Picture(latent), mask, options)
    make_loop = functools.partial(
        Loop,
        generator,
        start,
        origin_latent,
        points,
        fixed=fixed,
        home=home,
        least_steps=least_steps,
        enough_px=enough_px,
        windows=windows,
        judged=judged,
        opened=opened,
        locked=locked,
        should_stop=should_stop,
        image_of=image_of,
    )
    loop = make_loop(options)
    second = None
    # A white mask fixes nothing, and is as none.
    is_whole = fixed is None or not fixed.any()
    if (is_whole or loop.is_part) and home is None and origin is None:
        image_px = max(generator.img_shape[1:])
        second = second_way(points, options, image_px, is_part=loop.is_part)
    if second is None:
        return loop.result(*loop.run(on_step, changes), started)
    ways = TwoWays(
        loop,
        functools.partial(make_loop, second.options(options), looks_fade=second.looks_fade),
        changes,
        should_stop,
        started,
        second,
    )
    return ways.result(*loop.run(on_step, ways))


def open_for(picture: Picture, mask: ByteArray | None, options: DragOptions) -> OpenPicture:
    """Open a picture for a drag with a mask, which holds exactly if the options say so.

    Args:
        picture: The picture to start from.
        mask: ``H x W`` uint8, 255 = may change, or None.
        options: The options of the drag.
    """
    if options.mask_mode != "exact":
        mask = None
    return open_picture(picture, mask, options.softness)
