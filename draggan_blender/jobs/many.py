# SPDX-License-Identifier: GPL-3.0-or-later
"""*Apply to Many*: a slider that was kept from a drag, in other images, as far in each.

The engine solves the strength in each image and writes its image; when all are there, they are
shown at once, with one undo step. ``many_seeds`` makes new images, and ``many_sheet`` shows seeds
to choose from.

A slider is applied as it is when it is asked for, to images as they are then. An image that has
changed before the results arrive stays as it is.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..properties.sliders import DRAGGAN_PG_slider
from ..properties.stored import to_bytes
from ..protocol.directions import Direction, moved
from ..protocol.many import AppliedToOne, ApplyToMany
from ..protocol.messages import Done, Ending, Failed, Message, Sample
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
from . import delivery, folders, recovery, requests
from . import edits as edits_job

CANCELLED = "Apply to Many was cancelled"


@dataclass(frozen=True)
class Slider:
    """A slider as it was when it was applied.

    Attributes:
        image_id: The uuid of its image.
        key: Its key; undo replaces its row.
        exact: Whether the very place is wanted.
        direction: What it adds.
    """

    image_id: str
    key: int
    exact: bool
    direction: Direction

    def find(self) -> DRAGGAN_PG_slider | None:
        """Return its row, or None if it or its image is gone."""
        plane = planes.find(self.image_id)
        rows = () if plane is None else plane.draggan.sliders
        return next((row for row in rows if row.key == self.key), None)


@dataclass(eq=False)
class Work:
    """Something that was asked for, for the panel.

    Attributes:
        image_id: The uuid of the image of the slider.
        total: How many images are wanted.
        done: How many have arrived.
    """

    image_id: str
    total: int
    done: int = 0


@dataclass(frozen=True)
class _Target:
    """An image that gets the slider, as it was when the slider was applied.

    ``below`` is its picture without the slider, and ``sliders`` the settings of its sliders.
    """

    image_id: str
    name: str
    picture: bytes
    below: bytes
    sliders: str
    path: Path

    def is_unchanged(self) -> bool:
        """Return whether the image still exists and is as it was."""
        other = planes.find(self.image_id)
        if other is None:
            return False
        settings = other.draggan
        return bool(
            not settings.request_id
            and not settings.edits_changed
            and to_bytes(settings.latent) == self.picture
            and sliders.signature(other) == self.sliders
        )


@dataclass
class _Run:
    """The requests for images of the file, and what has arrived.

    ``waiting`` has, for each request without an ending, the numbers of its images among the
    targets: images with models of their own need requests of their own.
    """

    slider: Slider
    targets: tuple[_Target, ...]
    work: Work
    waiting: dict[int, tuple[int, ...]] = field(default_factory=dict)
    found: dict[int, AppliedToOne] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


_works: list[Work] = []


def progress(plane: Plane) -> tuple[int, int] | None:
    """Return how many images have arrived, and of how many; None if nothing was asked for."""
    mine = [work for work in _works if work.image_id == plane.draggan.uuid]
    return (sum(one.done for one in mine), sum(one.total for one in mine)) if mine else None


def begin(work: Work) -> None:
    """Show something that was asked for in the panel."""
    _works.append(work)


def end(work: Work) -> None:
    """Show it no longer."""
    with contextlib.suppress(ValueError):
        _works.remove(work)


def cancel(plane: Plane) -> None:
    """Cancel what was asked for with the sliders of an image; no image changes."""
    pump.cancel_job(recovery.many_id(plane.draggan.uuid))


def forget() -> None:
    """Forget all that was asked for."""
    _works.clear()


def slider_of(plane: Plane, index: int) -> Slider:
    """Return a slider of an image as it is.

    Raises:
        EditError: It was not kept from a drag, or cannot be read.
    """
    row = plane.draggan.sliders[index]
    kept_drags.read(row)
    return Slider(plane.draggan.uuid, row.key, row.exact, sliders.direction_of(plane, row))


def make_request(plane: Plane, index: int, model: tuple[str, str], **others: Any) -> ApplyToMany:
    """Return a request for a slider of an image.

    Args:
        plane: The GAN image that has the slider.
        index: Which of its sliders.
        model: The path and the SHA-256 of the model of the other images.
        **others: The fields of ``ApplyToMany`` about the other images.

    Raises:
        EditError: The slider was not kept from a drag.
    """
    row = plane.draggan.sliders[index]
    kept = kept_drags.read(row)
    return ApplyToMany(
        request_id=pump.new_request_id(),
        model_path=model[0],
        model_sha256=model[1],
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
        others: Other GAN images of the same model, or of one that was tuned from it.

    Returns:
        The id of the request that ends last.

    Raises:
        EditError: There is no other image, one of them cannot be changed now or has another model,
            the slider was not kept from a drag or is being applied, or the engine cannot be
            started.
    """
    slider = slider_of(plane, index)
    own_directions.require_others(plane, others)
    if progress(plane) is not None:
        raise EditError(f"A slider of {plane.name} is being applied; wait, or cancel that first")
    groups: dict[tuple[str, str], list[int]] = {}
    for number, other in enumerate(others):
        recovery.require_ready(other)
        edits_job.refuse_if_changing(other)
        settings = other.draggan
        model = models.model_path(settings.source), settings.model_sha256
        groups.setdefault(model, []).append(number)
    row = plane.draggan.sliders[index]
    targets = tuple(_target(row, other) for other in others)
    run = _Run(slider, targets, Work(slider.image_id, len(targets)))
    wanted = []
    for model, numbers in groups.items():
        pictures = [targets[number].below for number in numbers]
        request = make_request(
            plane,
            index,
            model,
            pictures=b"".join(pictures),
            sizes=tuple(map(len, pictures)),
            image_paths=tuple(str(targets[number].path) for number in numbers),
        )
        run.waiting[request.request_id] = tuple(numbers)
        requests.give_to(request.request_id, lambda message: _take(run, message))
        wanted.append(request)
    begin(run.work)
    try:
        for request in wanted:
            submit(slider, request)
    except EditError:
        end(run.work)
        for target in targets:
            discard(target.path)
        raise
    return wanted[-1].request_id


def submit(slider: Slider, request: ApplyToMany | Sample) -> None:
    """Send a request that keeps nobody from working on the image.

    Raises:
        EditError: The engine cannot be started.
    """
    pump.cancel_job(requests.explore_id(slider.image_id))
    job_id = recovery.many_id(slider.image_id)
    pump.submit(pump.Job(request=request, image_id=job_id, label="Apply to Many"))
    problem = requests.endings.get(request.request_id, "")
    if problem:
        raise EditError(problem)


def show(slider: Slider, other: Plane, below: bytes, found: AppliedToOne, path: Path) -> None:
    """Show a result in another image, as a state of its history.

    Args:
        slider: The slider.
        other: The other image.
        below: Its picture without the slider.
        found: The result.
        path: The file of the result's image.

    Raises:
        EditError: The slider is gone, or the image cannot be read or shown; it is as before.
    """
    row, settings = slider.find(), other.draggan
    if row is None:
        raise EditError("The slider was removed in the meantime")
    # Whatever could refuse the result is checked before any of it is written.
    kept_drags.same_as(row, other)
    planes.texture_node(other)
    change = np.frombuffer(found.change, "<f4").reshape(-1, settings.w_dim).astype(np.float32)
    direction = slider.direction
    if slider.exact:
        direction = Direction(name=row.name, change=change, first=0, last=len(change) - 1)
    picture = moved(below, np.float32(found.strength) * change)
    history.note_points(other)
    images.show_still(other, path)
    given = kept_drags.give(row, other, direction)
    sliders.set_shown(other, given, found.strength)
    settings.track = ""
    handle_paths.clear_paths(other)
    edits.show(other, picture, settings.edits_shown)
    settings.status = found.problem or f"{given.name} is at {found.strength:.2f}"
    settings.status = settings.status[:1].upper() + settings.status[1:]
    settings.failed = bool(found.problem)
    history.record(other, "SLIDERS")


def finish(slider: Slider, ending: Ending, problem: str) -> None:
    """Note how a request has ended, and say what went wrong in the image of the slider."""
    requests.endings[ending.request_id] = problem
    plane = planes.find(slider.image_id)
    if problem and plane is not None:
        plane.draggan.status, plane.draggan.failed = problem, problem != CANCELLED
    delivery.redraw_panels()


def problem_of(ending: Ending) -> str:
    """Return why a request has no result; empty if it has one."""
    if isinstance(ending, Done):
        return ""
    return ending.message if isinstance(ending, Failed) else CANCELLED


def discard(path: Path) -> None:
    """Remove the image of a result that is not shown, with its folder."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    folders.remove_empty(path.parent)


def _target(row: DRAGGAN_PG_slider, other: Plane) -> _Target:
    picture = to_bytes(other.draggan.latent)
    now = sliders.wanted_settings(other)
    found = kept_drags.same_as(row, other)
    if found is not None:
        now.pop(found.key, None)
    return _Target(
        image_id=other.draggan.uuid,
        name=other.name,
        picture=picture,
        below=sliders.applied(other, picture, now),
        sliders=sliders.signature(other),
        path=folders.new_still(other),
    )


def _take(run: _Run, message: Message) -> None:
    if isinstance(message, AppliedToOne):
        run.found[run.waiting[message.request_id][message.index]] = message
        run.work.done += 1
        delivery.redraw_panels()
        return
    if not isinstance(message, Ending):
        return
    numbers, problem = run.waiting.pop(message.request_id), problem_of(message)
    if problem:
        run.problems.append(problem)
        for number in numbers:
            run.found.pop(number, None)
    if not run.waiting:
        end(run.work)
        _show_all(run)
        # Several requests may have failed for one reason.
        problem = "; ".join(dict.fromkeys(run.problems))
    finish(run.slider, message, problem)


def _show_all(run: _Run) -> None:
    """Show what has arrived in its images, and collect what went wrong."""
    changed, is_shown = [], False
    for number, target in enumerate(run.targets):
        other = planes.find(target.image_id)
        if other is None or number not in run.found:
            discard(target.path)
        elif not target.is_unchanged():
            changed.append(other.name)
            discard(target.path)
        else:
            try:
                show(run.slider, other, target.below, run.found[number], target.path)
                is_shown = True
            except EditError as error:
                run.problems.append(f"{other.name}: {error}")
    if changed:
        names = ", ".join(changed)
        run.problems.append(f"{names} changed in the meantime; press Apply to Many again")
    if is_shown:
        delivery.redraw_image()
        delivery.push_undo("Apply to Many")
