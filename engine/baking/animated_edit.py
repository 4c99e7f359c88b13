# SPDX-License-Identifier: GPL-3.0-or-later
"""An edit on the timeline in the form that the algorithms take: what each frame is solved from.

Every frame has *inputs* (targets, options, mask, and the latent of its image without the edit) and
a *key*, a digest of everything that its result depends on: its own inputs and, because each frame
is solved from the frames before it, the inputs of all frames before it. Two frames with equal keys
have equal results, also in different bakes.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

from draggan_blender.protocol.layering import Layer
from draggan_blender.protocol.pictures import NO_LABEL
from stylegan2 import Generator

from ..arrays import ByteArray, FloatArray
from ..errors import RequestError
from ..models import sample_latent
from ..pictures import OpenPicture, Picture
from ..solving.drag import open_for
from ..solving.lock import Locked
from ..solving.options import DragOptions

# Part of every key. Increase it with each change of the solver after which a frame with the same
# inputs has another result.
ALGORITHM = 6

_NO_TURNS = np.empty((0, 2), np.float32)


@dataclass(frozen=True, kw_only=True)
class Truncation:
    """An animated truncation.

    Attributes:
        psi: The truncation psi of each of the T frames, -2 to 2.
        sampled_psi: The truncation psi that the edit's latent was made with.
        direction: ``num_ws x w_dim`` float32, what one unit of psi adds to the latent.
    """

    psi: tuple[float, ...]
    sampled_psi: float
    direction: FloatArray

    @classmethod
    def of_seed(
        cls,
        generator: Generator,
        seed: int,
        sampled_psi: float,
        psi: Sequence[float],
        label: int = NO_LABEL,
    ) -> Truncation:
        """Return the animated truncation of the image of a seed.

        Its direction is the difference between the seed's latent and the average latent.

        Args:
            generator: The model.
            seed: 0 to 2**32 - 1.
            sampled_psi: The truncation psi of the edit's latent.
            psi: The truncation psi of each frame.
            label: The label of the edit's latent, see ``models.sample_latent``.

        Raises:
            RequestError: The seed, a truncation or the label is out of range.
        """
        for one in (sampled_psi, *psi):
            if not -2 <= one <= 2:
                raise RequestError(f"the truncation must be from -2 to 2, not {one}")
        whole, average = (sample_latent(generator, seed, one, label) for one in (1.0, 0.0))
        return cls(psi=tuple(psi), sampled_psi=sampled_psi, direction=whole - average)


@dataclass(frozen=True, kw_only=True)
class FrameInputs:
    """What one frame is solved from, apart from the frames before it.

    Attributes:
        opened: The frame's picture without the edit, opened under its mask.
        targets_px: ``P x 2`` float32, image pixels.
        options: The options of the frame's drag.
        mask: ``H x W`` uint8, 255 = may change, or None without a mask.
        turns: ``P x 2`` float32, the wanted ``z`` of each pair; ``0 x 2`` without regions.
    """

    opened: OpenPicture
    targets_px: FloatArray
    options: DragOptions
    mask: ByteArray | None
    turns: FloatArray

    @property
    def base(self) -> FloatArray:
        """The latent that changes as it is without the edit, ``num_ws x w_dim`` float32."""
        return self.opened.latent


@dataclass(frozen=True, kw_only=True)
class Refined:
    """The rows of an earlier bake that are solved further.

    Attributes:
        latents: ``T x num_ws x w_dim`` float32.
        handles_px: ``T x P x 2`` float32, image pixels.
        turns: ``T x P x 2`` float32, ``z`` of each pair, see ``solving.regions``; empty if the
            edit has no regions.
    """

    latents: FloatArray
    handles_px: FloatArray
    turns: FloatArray = field(default_factory=lambda: _NO_TURNS[None])

    def turns_of(self, row: int) -> FloatArray:
        """Return ``z`` of each pair at a row, ``P x 2`` float32, or ``0 x 2`` without regions."""
        return self.turns[row] if self.turns.size else _NO_TURNS


@dataclass(frozen=True, kw_only=True)
class AnimatedEdit:
    """An edit of T frames with P handles.

    Attributes:
        first_number: The scene frame of row 0.
        latent: ``num_ws x w_dim`` float32, the latent of the whole image that is edited.
        handles_px: ``P x 2`` float32, image pixels, where the handles are in the image of
            ``latent``.
        targets_px: ``T x P x 2`` float32, image pixels.
        image_size: Width and height of the model's images, pixels.
        options: Pairs of a row and the options from that row on, in rising order; the first is
            for row 0.
        mask_rows: Pairs of a row and the index into ``masks`` from that row on, in rising order.
            Without a mask are the rows of index -1 and those before the first pair.
        masks: Each ``H x W`` uint8, 255 = may change.
        truncation: The animated truncation, or None.
        poses: Rows that smoothing does not change.
        smoothing: Standard deviation of the smoothing in frames, 0 for none.
        refined: The rows to solve further, or None to solve each frame from the one before it.
        radii_px: ``P`` float32, the radii of regions in the image of ``latent``, image pixels, 0
            for a plain handle; empty if there are no regions.
        turns: ``T x P x 2`` float32, the wanted ``z`` of each pair, see ``solving.regions``; 1 and
            0 for a plain handle. Empty if there are no regions.
        layers: The masked layers over ``latent``, from the lowest to the topmost.
        pictures: T pictures that the frames are solved from, if the strengths of masked edits are
            animated; their latents of the whole image are ``latent``. Equal ones are one object.
            Empty if all are that of ``latent`` and ``layers``.
        moves: ``T x num_ws x w_dim`` float32, what animated sliders add to the latent of each
            frame, or None.
        locked: Directions that the solved part of a frame, its change from ``inputs(row).base``,
            must not have, or only have; None for neither.

    Raises:
        RequestError: A point is outside the image, or the parts do not fit each other.
    """

    first_number: int
    latent: FloatArray
    handles_px: FloatArray
    targets_px: FloatArray
    image_size: tuple[int, int]
    options: tuple[tuple[int, DragOptions], ...]
    mask_rows: tuple[tuple[int, int], ...] = ()
    masks: tuple[ByteArray, ...] = ()
    truncation: Truncation | None = None
    poses: tuple[int, ...] = ()
    smoothing: float = 0.0
    refined: Refined | None = None
    radii_px: FloatArray = field(default_factory=lambda: np.empty(0, np.float32))
    turns: FloatArray = field(default_factory=lambda: _NO_TURNS[None])
    layers: tuple[Layer, ...] = ()
    pictures: tuple[Picture, ...] = ()
    moves: FloatArray | None = None
    locked: Locked | None = None
    picture: Picture = field(init=False, repr=False)
    _mask_hashes: tuple[bytes, ...] = field(init=False, repr=False)
    # By the ids of ``pictures``.
    _picture_hashes: dict[int, bytes] = field(init=False, repr=False)
    # Pictures as they were opened, by their ids, the index of the mask, the mode and the softness.
    _opened: dict[tuple[int, int, str, float], OpenPicture] = field(
        init=False, repr=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._check_points("handle", self.handles_px[None])
        self._check_points("target", self.targets_px)
        for _, index in self.mask_rows:
            if not -1 <= index < len(self.masks):
                raise RequestError(
                    f"the edit uses mask {index}, but has {len(self.masks)}, numbered from 0"
                )
        if self.refined is not None and len(self.refined.latents) != len(self):
            raise RequestError(
                f"the track to refine has {len(self.refined.latents)} rows, but the edit has "
                f"{len(self)} frames; bake the edit first"
            )
        if self.pictures and len(self.pictures) != len(self):
            raise RequestError(
                f"the edit has {len(self.pictures)} pictures for {len(self)} frames; bake it again"
            )
        object.__setattr__(self, "picture", Picture(self.latent, self.layers))
        hashes = tuple(hashlib.sha256(mask.tobytes()).digest() for mask in self.masks)
        object.__setattr__(self, "_mask_hashes", hashes)
        distinct = {id(picture): picture for picture in self.pictures}
        digests = {
            key: hashlib.sha256(picture.to_bytes()).digest() for key, picture in distinct.items()
        }
        object.__setattr__(self, "_picture_hashes", digests)

    def _check_points(self, name: str, points_px: FloatArray) -> None:
        inside = ((points_px >= 0) & (points_px <= self.image_size)).all(axis=2)
        if inside.all():
            return
        row, point = np.argwhere(~inside)[0]
        x, y = points_px[row, point]
        width, height = self.image_size
        when = f" in frame {self.first_number + row}" if name == "target" else ""
        raise RequestError(
            f"{name} {point + 1} is at ({x:.1f}, {y:.1f}){when}, outside the image of "
            f"{width} x {height} px; move it onto the image"
        )

    def __len__(self) -> int:
        return len(self.targets_px)

    def inputs(self, row: int) -> FrameInputs:
        """Return what a row is solved from, apart from the rows before it."""
        index = self._mask_index(row)
        return FrameInputs(
            opened=self._opened_at(row),
            targets_px=self.targets_px[row],
            options=self._options(row),
            mask=None if index < 0 else self.masks[index],
            turns=self._turns(row),
        )

    def is_like_before(self, row: int) -> bool:
        """Return whether a row's inputs equal those of the row before; False for row 0."""
        return row > 0 and self._state(row) == self._state(row - 1)

    def is_like_but_for_targets(self, row: int) -> bool:
        """Return whether a row's inputs without the targets equal those before; False for row 0."""
        if not row:
            return False
        now, before = self.inputs(row), self.inputs(row - 1)
        is_like = now.options == before.options and now.mask is before.mask
        is_like = is_like and self._picture(row) is self._picture(row - 1)
        return is_like and np.array_equal(now.base, before.base)

    def keys(self, model_sha256: str) -> list[bytes]:
        """Return the key of each row, a SHA-256 digest of 32 bytes."""
        begin = hashlib.sha256(b"draggan bake")
        for part in (ALGORITHM, self.first_number, model_sha256, self.latent.shape):
            begin.update(f"{part}\n".encode())
        for array in (self.latent, self.handles_px):
            begin.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        if self.layers:
            begin.update(b"layers" + self.picture.to_bytes())
        if self.has_regions:
            begin.update(b"regions" + self.radii_px.astype("<f4").tobytes())
        if self.locked is not None and not self.locked.is_empty:
            for name, changes in (("kept", self.locked.kept), ("along", self.locked.along)):
                begin.update(f"{name} {len(changes)}".encode() + changes.astype("<f4").tobytes())
        keys = []
        previous = begin.digest()
        for row in range(len(self)):
            like_before = b"like before" if self.is_like_before(row) else b""
            key = hashlib.sha256(previous + self._state(row) + like_before).digest()
            keys.append(key)
            # A refined row depends on its own earlier result, which is part of its state, and not
            # on the rows before it.
            previous = key if self.refined is None else previous
        return keys

    def home(self, row: int) -> OpenPicture:
        """Return the picture that ``handles_px`` are in, opened under the mask of a row."""
        return self._open(self.picture, row)

    def _opened_at(self, row: int) -> OpenPicture:
        """Return the picture of a row without the edit, opened under the row's mask."""
        opened = self._open(self._picture(row), row)
        return opened.on(self._base(row)) if self._is_moved else opened

    @property
    def _is_moved(self) -> bool:
        return self.truncation is not None or self.moves is not None

    def _picture(self, row: int) -> Picture:
        """Return the picture of a row without the edit, a change of truncation and sliders."""
        return self.pictures[row] if self.pictures else self.picture

    def _open(self, picture: Picture, row: int) -> OpenPicture:
        options, index = self._options(row), self._mask_index(row)
        key = id(picture), index, options.mask_mode, options.softness
        opened = self._opened.get(key)
        if opened is None:
            mask = None if index < 0 else self.masks[index]
            opened = self._opened[key] = open_for(picture, mask, options)
        return opened

    @property
    def has_regions(self) -> bool:
        """Whether any of the pairs is a region."""
        return len(self.radii_px) > 0

    def _turns(self, row: int) -> FloatArray:
        return self.turns[row] if self.has_regions else _NO_TURNS

    def _options(self, row: int) -> DragOptions:
        index = bisect_right(self.options, row, key=lambda entry: entry[0]) - 1
        return self.options[index][1]

    def _mask_index(self, row: int) -> int:
        index = bisect_right(self.mask_rows, row, key=lambda entry: entry[0]) - 1
        return -1 if index < 0 else self.mask_rows[index][1]

    def _base(self, row: int) -> FloatArray:
        truncation, base = self.truncation, self.latent
        if truncation is not None:
            change = np.float32(truncation.psi[row] - truncation.sampled_psi)
            base = base + change * truncation.direction
        return base if self.moves is None else base + self.moves[row]

    def _state(self, row: int) -> bytes:
        """Return a digest of all inputs of a row."""
        mask = self._mask_index(row)
        text = json.dumps(asdict(self._options(row)), sort_keys=True)
        parts = [
            self.targets_px[row].astype("<f4").tobytes(),
            text.encode(),
            b"" if mask < 0 else self._mask_hashes[mask],
        ]
        if self.has_regions:
            parts.append(self._turns(row).astype("<f4").tobytes())
        if self.pictures:
            parts.append(self._picture_hashes[id(self.pictures[row])])
        if self._is_moved:
            parts.append(self._base(row).astype("<f4").tobytes())
        if self.refined is not None:
            parts += [
                self.refined.latents[row].astype("<f4").tobytes(),
                self.refined.handles_px[row].astype("<f4").tobytes(),
            ]
            if self.has_regions:
                parts.append(self.refined.turns_of(row).astype("<f4").tobytes())
        digest = hashlib.sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.digest()
