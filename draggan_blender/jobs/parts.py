# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the pictures that planes show, which the engine finds once for each picture.

Nothing waits for the engine: who needs the parts asks for them, and is called when they are there.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import numpy as np

from ..connection import pump
from ..errors import EditError
from ..properties.owners import Plane
from ..protocol.messages import Ending, Failed, Message
from ..protocol.parts import FindParts, PartsFound
from ..scene import models, planes, shown
from ..scene.part_tree import PartTree
from . import recovery, requests

_LOG = logging.getLogger(__name__)

# Pictures whose parts are kept: about 100 kB each, and finding them again takes a moment.
_KEPT = 16

# What a waiting caller receives: the plane and its parts.
Taker = Callable[[Plane, PartTree], None]

# The digest of a model and a picture -> its parts, the one used last at the end.
_found: OrderedDict[bytes, PartTree] = OrderedDict()
# The same -> the request that finds them.
_asked: dict[bytes, int] = {}
# uuid -> who is called when the parts of what the plane then shows are there. The newest one only:
# a second click means another part.
_waiting: dict[str, Taker] = {}
# uuid -> why the parts were not found last time.
_problems: dict[str, str] = {}


def of(plane: Plane) -> PartTree | None:
    """Return the parts of the picture that a plane shows, or None if they are not there.

    Raises:
        EditError: The picture cannot be read.
    """
    key = _key(plane)
    if key in _found:
        _found.move_to_end(key)
    return _found.get(key)


def ask(plane: Plane, then: Taker | None = None) -> None:
    """Ask for the parts of the picture that a plane shows, if they are not there; returns at once.

    Args:
        plane: A GAN image with an image.
        then: Called once with the plane and its parts: at once if they are there, otherwise when
            they are. If they are not found, the plane's status says why. None to have them early.

    Raises:
        EditError: The picture cannot be read, no model was chosen, or the engine cannot start.
    """
    requests.require_image(plane)
    image_id, key = plane.draggan.uuid, _key(plane)
    _problems.pop(image_id, None)
    tree = of(plane)
    if tree is not None:
        if then is not None:
            then(plane, tree)
        return
    if then is not None:
        _waiting[image_id] = then
    if key not in _asked:
        _submit(plane, key, is_asked=then is not None)
    problem = _problems.get(image_id, "")
    if problem:
        raise EditError(problem)


def wait(plane: Plane, timeout_s: float = 3600.0) -> PartTree:
    """Return the parts of the picture that a plane shows; only for scripts and ``blender -b``.

    Raises:
        EditError: They were not found, or not within ``timeout_s`` seconds.
    """
    ask(plane)
    image_id, key = plane.draggan.uuid, _key(plane)
    pump.run_until(lambda _state: key not in _asked, timeout_s)
    tree = _found.get(key)
    if tree is None:
        late = f"The parts were not found after {timeout_s:g} seconds"
        raise EditError(_problems.get(image_id, late))
    return tree


def problem(plane: Plane) -> str:
    """Return why the parts of a plane were not found last time; empty if nothing went wrong."""
    return _problems.get(plane.draggan.uuid, "")


def forget_caller(image_id: str) -> None:
    """Call nobody any more when the parts of a plane's picture are there."""
    _waiting.pop(image_id, None)


def _key(plane: Plane) -> bytes:
    settings = plane.draggan
    model = f"{models.model_path(settings.source)}\n{settings.model_sha256}\n"
    return hashlib.blake2b(model.encode() + shown.latent(plane), digest_size=16).digest()


def _submit(plane: Plane, key: bytes, *, is_asked: bool) -> None:
    settings = plane.draggan
    request = FindParts(
        request_id=pump.new_request_id(),
        model_path=models.model_path(settings.source),
        model_sha256=settings.model_sha256,
        latent=shown.latent(plane),
    )
    _asked[key] = request.request_id
    requests.give_to(request.request_id, partial(_take, settings.uuid, key))
    job_id, label = recovery.parts_id(plane), f"Find the parts of {plane.name}"
    pump.submit(pump.Job(request=request, image_id=job_id, label=label, is_asked=is_asked))


def _take(image_id: str, key: bytes, message: Message) -> None:
    """Store the parts, and at the end of the request call who waits for them."""
    if isinstance(message, PartsFound):
        cells = (message.rows, message.columns)
        heights = np.frombuffer(message.heights, "<f4")
        _found[key] = PartTree(cells, np.frombuffer(message.parents, "<i4"), heights)
        while len(_found) > _KEPT:
            _found.popitem(last=False)
    if not isinstance(message, Ending):
        return
    _asked.pop(key, None)
    if isinstance(message, Failed):
        _LOG.warning("The parts were not found: %s", message.message)
        _problems[image_id] = message.message
    elif key not in _found:
        _problems[image_id] = "Finding the parts was cancelled; click again"
    _answer(image_id)


def _answer(image_id: str) -> None:
    """Call who waits for the parts of a plane, which may show another picture by now."""
    then = _waiting.pop(image_id, None)
    plane = planes.find(image_id)
    if then is None or plane is None:
        return
    text = _problems.get(image_id, "")
    if not text:
        try:
            ask(plane, then)
        except EditError as error:
            text = str(error)
    if text:
        plane.draggan.status, plane.draggan.failed = text, True


def register() -> None:
    """Nothing is needed: parts are found when something asks for them."""


def unregister() -> None:
    """Forget all parts and who waits for them."""
    for known in (_found, _asked, _waiting, _problems):
        known.clear()
