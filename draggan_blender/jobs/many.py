# SPDX-License-Identifier: GPL-3.0-or-later
"""*Apply to Many*: a slider that was kept from a drag, in other images, as far in each.

The engine solves the strength in each image and writes its image; when all are there, they are
shown at once, with one undo step. ``many_sheet`` shows the same of seeds, to choose from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy
import numpy as np

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.sliders import DRAGGAN_PG_slider
from ..properties.stored import to_bytes
from ..protocol.directions import Direction, moved
from ..protocol.many import AppliedToOne, ApplyToMany
from ..protocol.messages import Ending, Failed, Message, Sample, Sampled
from ..scene import (
    edits,
    handle_paths,
    history,
    images,
    kept_drags,
    models,
    own_directions,
    planes,
    sliders,
    thumbnails,
)
from ..scene.free_place import Place
from . import delivery, folders, image, recovery, requests
from . import edits as edits_job


@dataclass(frozen=True)
class _Slider:
    """Names a slider: undo replaces its row."""

    image_id: str
    key: int
    exact: bool

    def find(self) -> tuple[Plane, DRAGGAN_PG_slider] | None:
        """Return its image and its row, or None if one of them is gone."""
        plane = planes.find(self.image_id)
        rows = () if plane is None else plane.draggan.sliders
        row = next((row for row in rows if row.key == self.key), None)
        return None if plane is None or row is None else (plane, row)


@dataclass
class _Run:
    """A request for images of the file, and what has arrived."""

    slider: _Slider
    image_ids: tuple[str, ...]
    pictures: tuple[bytes, ...]
    paths: tuple[Path, ...]
    found: dict[int, AppliedToOne] = field(default_factory=dict)


@dataclass
class _Pick:
    """The requests for a new image, and what has arrived."""

    slider: _Slider
    place: Place
    sample: Sample
    path: Path
    sampled: Sampled | None = None
    applied: AppliedToOne | None = None


def make_request(plane: Plane, index: int, **others: Any) -> ApplyToMany:
    """Return a request for a slider of an image.

    Args:
        plane: The GAN image that has the slider.
        index: Which of its sliders.
        **others: The fields of ``ApplyToMany`` about the other images.

    Raises:
        EditError: No model was chosen, or the slider was not kept from a drag.
    """
    settings = plane.draggan
    row = settings.sliders[index]
    kept = kept_drags.read(row)
    return ApplyToMany(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        origin=kept.origin,
        change=sliders.whole_change(plane, row).astype("<f4").tobytes(),
        # A slider at 0 shows no end; that of its drag is meant.
        strength=(row.strength if row.visible else 0.0) or 1.0,
        handles_px=kept.handles_px,
        pins_px=kept.pins_px,
        exact=row.exact,
        size_px=thumbnails.SIZE_PX,
        **others,
    )


def to_images(plane: Plane, index: int, others: Sequence[Plane]) -> int:
    """Give other images a slider, with the strength that brings each to the same end.

    Args:
        plane: The GAN image that has the slider.
        index: Which of its sliders.
        others: Other GAN images of the same model.

    Returns:
        The request id.

    Raises:
        EditError: There is no other image, one of them cannot be changed now or has another model,
            the slider was not kept from a drag, or the engine cannot be started.
    """
    row = plane.draggan.sliders[index]
    kept_drags.read(row)
    own_directions.require_others(plane, others)
    pictures, paths = [], []
    for other in others:
        recovery.require_ready(other)
        edits_job.refuse_if_changing(other)
        pictures.append(_without(row, other))
        paths.append(folders.new_still(other))
    run = _Run(
        slider=_Slider(plane.draggan.uuid, row.key, row.exact),
        image_ids=tuple(other.draggan.uuid for other in others),
        pictures=tuple(to_bytes(other.draggan.latent) for other in others),
        paths=tuple(paths),
    )
    request = make_request(
        plane,
        index,
        pictures=b"".join(pictures),
        sizes=tuple(map(len, pictures)),
        image_paths=tuple(map(str, paths)),
    )
    requests.give_to(request.request_id, lambda message: _take(run, message))
    _submit(plane, request)
    return request.request_id


def to_seed(plane: Plane, index: int, seed: int, place: Place) -> int:
    """Make a new image of a seed with a slider of an image, at the strength for the same end.

    Args:
        plane: The GAN image that has the slider; the new one has its model and truncation.
        index: Which of its sliders.
        seed: The seed.
        place: Where the new plane is put.

    Returns:
        The id of the request that ends last.

    Raises:
        EditError: The slider was not kept from a drag, or the engine cannot be started.
    """
    source, path = plane.draggan.source, folders.new_still(plane)
    request = make_request(
        plane,
        index,
        seeds=(seed,),
        truncation_psi=source.truncation_psi,
        label=source.label,
        image_paths=(str(path),),
    )
    sample = Sample(
        request_id=pump.new_request_id(),
        model_path=request.model_path,
        model_sha256=request.model_sha256,
        seed=seed,
        truncation_psi=source.truncation_psi,
        label=source.label,
        image_path=str(folders.new_still(plane)),
    )
    row = plane.draggan.sliders[index]
    slider = _Slider(plane.draggan.uuid, row.key, row.exact)
    pick = _Pick(slider, place, sample, path)
    for one in (sample, request):
        requests.give_to(one.request_id, lambda message: _take_pick(pick, message))
    _submit(plane, sample)
    _submit(plane, request)
    return request.request_id


def _submit(plane: Plane, request: ApplyToMany | Sample) -> None:
    """Send a request that keeps nobody from working on the image."""
    pump.cancel_job(requests.explore_id(plane.draggan.uuid))
    job_id = recovery.parts_id(plane)
    pump.submit(pump.Job(request=request, image_id=job_id, label="Apply to Many"))
    problem = requests.endings.get(request.request_id, "")
    if problem:
        raise EditError(problem)


def _without(row: DRAGGAN_PG_slider, other: Plane) -> bytes:
    """Return the picture of another image without the slider, if it has the same one."""
    found = kept_drags.same_as(row, other)
    now = sliders.wanted_settings(other)
    if found is not None:
        now.pop(found.key, None)
    return sliders.applied(other, to_bytes(other.draggan.latent), now)


def _take(run: _Run, message: Message) -> None:
    if isinstance(message, AppliedToOne):
        run.found[message.index] = message
        return
    if not isinstance(message, Ending):
        return
    problem = message.message if isinstance(message, Failed) else ""
    found = run.slider.find()
    if len(run.found) == len(run.image_ids) and found is not None:
        try:
            _show_all(run)
        except EditError as error:
            problem = str(error)
        delivery.push_undo("Apply to Many")
    else:
        problem = problem or "Apply to Many was cancelled"
        for path in run.paths:
            folders.remove_empty(path.parent)
    _end(message, found, problem)


def _show_all(run: _Run) -> None:
    """Show the results in their images.

    Raises:
        EditError: Some images have changed in the meantime, or cannot be shown; the others are.
    """
    left = []
    for number, image_id in enumerate(run.image_ids):
        other = planes.find(image_id)
        settings = None if other is None else other.draggan
        if other is None or settings is None:
            continue
        if settings.request_id or to_bytes(settings.latent) != run.pictures[number]:
            left.append(other.name)
            continue
        _show(run.slider, other, run.found[number], run.paths[number])
    delivery.redraw_image()
    if left:
        raise EditError(f"{', '.join(left)} changed in the meantime; press Apply to Many again")


def _show(slider: _Slider, other: Plane, found: AppliedToOne, path: Path) -> None:
    """Show a result in another image, as a state of its history.

    Raises:
        EditError: The slider is gone, or the image cannot be read or shown.
    """
    mine = slider.find()
    if mine is None:
        raise EditError("The slider was removed in the meantime")
    plane, row = mine
    settings = other.draggan
    history.note_points(other)
    change = np.frombuffer(found.change, "<f4").reshape(-1, settings.w_dim).astype(np.float32)
    below = _without(row, other)
    direction = sliders.direction_of(plane, row)
    if slider.exact:
        direction = Direction(name=row.name, change=change, first=0, last=len(change) - 1)
    given = kept_drags.give(row, other, direction)
    sliders.set_shown(other, given, found.strength)
    images.show_still(other, path)
    settings.track = ""
    handle_paths.clear_paths(other)
    picture = moved(below, np.float32(found.strength) * change)
    edits.show(other, picture, settings.edits_shown)
    settings.status = found.problem or f"{given.name} is at {found.strength:.2f}"
    settings.status = settings.status[:1].upper() + settings.status[1:]
    settings.failed = bool(found.problem)
    history.record(other, "SLIDERS")


def _take_pick(pick: _Pick, message: Message) -> None:
    if isinstance(message, Sampled):
        pick.sampled = message
    elif isinstance(message, AppliedToOne):
        pick.applied = message
    elif isinstance(message, Ending):
        problem = message.message if isinstance(message, Failed) else ""
        is_last = message.request_id != pick.sample.request_id
        found = pick.slider.find()
        if is_last and pick.sampled is not None and pick.applied is not None and found:
            _make(pick, pick.sampled, pick.applied, found[0])
        elif is_last:
            problem = problem or "Apply to Many was cancelled"
            for path in (pick.path, Path(pick.sample.image_path)):
                folders.remove_empty(path.parent)
        _end(message, found, problem)


def _make(
    pick: _Pick,
    sampled: Sampled,
    applied: AppliedToOne,
    plane: Plane,
) -> None:
    """Make the plane of a new image, first as its seed is, then with the slider."""
    made = planes.create(bpy.context, pick.place.location, pick.place.rotation)
    source, like = made.draggan.source, plane.draggan.source
    source.kind, source.path = like.kind, like.path
    source.truncation_psi, source.label = like.truncation_psi, like.label
    source.seed = pick.sample.seed
    image.finish_sample(made, pick.sample, sampled)
    history.record(made, "SEED")
    _show(pick.slider, made, applied, pick.path)
    delivery.redraw_image()
    delivery.push_undo("Apply to Many")


def _end(message: Ending, found: tuple[Plane, DRAGGAN_PG_slider] | None, problem: str) -> None:
    requests.endings[message.request_id] = problem
    if problem and found is not None:
        found[0].draggan.status, found[0].draggan.failed = problem, True
    delivery.redraw_panels()
