# SPDX-License-Identifier: GPL-3.0-or-later
"""*Apply to Many* for seeds: their request, and a new image of one of them.

The image of a seed has the model of the slider's image, as it was before it was tuned to a picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import bpy

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.stored import to_bytes
from ..protocol.many import AppliedToOne, ApplyToMany
from ..protocol.messages import Ending, Message, Sample, Sampled
from ..scene import history, models, planes
from ..scene.free_place import Place
from . import delivery, folders, image, many, requests


@dataclass(frozen=True)
class Asked:
    """A slider in images of seeds, as it was when it was asked for.

    Attributes:
        slider: The slider.
        request: The request; requests for other seeds differ in these only.
        model: Kind and path of the model, as they are stored.
    """

    slider: many.Slider
    request: ApplyToMany
    model: tuple[str, str]


@dataclass
class _Pick:
    """The requests for a new image, and what has arrived."""

    asked: Asked
    place: Place
    sample: Sample
    path: Path
    work: many.Work
    sampled: Sampled | None = None
    applied: AppliedToOne | None = None
    problem: str = ""


def ask(plane: Plane, index: int, seeds: Sequence[int]) -> Asked:
    """Return a slider of an image as it is, with a request for seeds.

    Args:
        plane: The GAN image that has the slider; seeds have its truncation and label.
        index: Which of its sliders.
        seeds: The seeds.

    Raises:
        EditError: No model was chosen, or the slider was not kept from a drag.
    """
    source, model = plane.draggan.source, models.untuned(plane)
    request = many.make_request(
        plane,
        index,
        (models.path_of(*model), models.base_of(plane)),
        seeds=tuple(seeds),
        truncation_psi=source.truncation_psi,
        label=source.label,
    )
    return Asked(many.slider_of(plane, index), request, model)


def to_seed(plane: Plane, asked: Asked, seed: int, place: Place) -> int:
    """Make a new image of a seed with a slider of an image, at the strength for the same end.

    Args:
        plane: The GAN image that has the slider.
        asked: The slider, and what images of seeds are made with.
        seed: The seed.
        place: Where the new plane is put.

    Returns:
        The id of the request that ends last.

    Raises:
        EditError: The folders cannot be made, or the engine cannot be started.
    """
    path = folders.new_still(plane)
    request = replace(
        asked.request,
        request_id=pump.new_request_id(),
        seeds=(seed,),
        image_paths=(str(path),),
    )
    sample = Sample(
        request_id=pump.new_request_id(),
        model_path=request.model_path,
        model_sha256=request.model_sha256,
        seed=seed,
        truncation_psi=request.truncation_psi,
        label=request.label,
        image_path=str(folders.new_still(plane)),
    )
    pick = _Pick(asked, place, sample, path, many.Work(asked.slider.image_id, 1))
    many.begin(pick.work)
    try:
        for one in (sample, request):
            requests.give_to(one.request_id, lambda message: _take(pick, message))
            many.submit(asked.slider, one)
    except EditError:
        _give_up(pick)
        raise
    return request.request_id


def _take(pick: _Pick, message: Message) -> None:
    if isinstance(message, Sampled):
        pick.sampled = message
    elif isinstance(message, AppliedToOne):
        pick.applied = message
    elif isinstance(message, Ending):
        pick.problem = pick.problem or many.problem_of(message)
        if message.request_id != pick.sample.request_id:
            _end(pick)
        many.finish(pick.asked.slider, message, pick.problem)


def _end(pick: _Pick) -> None:
    """Make the image of a pick whose requests have ended, or remove what there is of it."""
    plane = planes.find(pick.asked.slider.image_id)
    if not pick.problem and pick.sampled is not None and pick.applied is not None:
        try:
            _make(pick, pick.sampled, pick.applied)
        except EditError as error:
            pick.problem = str(error)
    elif plane is not None:
        pick.problem = pick.problem or many.CANCELLED
    if pick.problem:
        _give_up(pick)
    many.end(pick.work)


def _give_up(pick: _Pick) -> None:
    many.end(pick.work)
    for path in (pick.path, Path(pick.sample.image_path)):
        many.discard(path)


def _make(pick: _Pick, sampled: Sampled, applied: AppliedToOne) -> None:
    """Make the plane of a new image, first as its seed is, then with the slider.

    Raises:
        EditError: The slider is gone, or an image cannot be shown; there is no new plane.
    """
    made = planes.create(bpy.context, pick.place.location, pick.place.rotation)
    source = made.draggan.source
    source.kind, source.path = pick.asked.model
    source.truncation_psi, source.label = pick.sample.truncation_psi, pick.sample.label
    source.seed = pick.sample.seed
    try:
        image.finish_sample(made, pick.sample, sampled)
        history.record(made, "SEED")
        below = to_bytes(made.draggan.latent)
        many.show(pick.asked.slider, made, below, applied, pick.path)
    except EditError:
        planes.remove(made)
        raise
    delivery.redraw_image()
    delivery.push_undo("Apply to Many")
