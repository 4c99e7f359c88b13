# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the messages, and the completeness of the list of messages."""

from __future__ import annotations

import math
import sys
from typing import Any

import pytest

from draggan_blender.protocol import LocalProtocolError, drag_messages, explore, live
from draggan_blender.protocol import messages as m
from draggan_blender.protocol import own_picture as o
from draggan_blender.protocol import pairs as p
from draggan_blender.protocol.codec import ALL_MESSAGES

FRAMES = m.FrameTarget(folder="f", stem="s", first_number=1)
PAIR = p.Pair(handle_px=(1.0, 2.0), target_px=(3.0, 4.0))
FINISHED = {
    "request_id": 1,
    "drag_id": 1,
    "status": "reached",
    "reason": "",
    "steps": 3,
    "distance_px": 0.0,
    "seconds": 1.0,
    "latent": b"",
    "track": b"",
    "first_number": 1,
    "handles": (p.HandleState(key=1, place_px=(1.0, 2.0), distance_px=0.0),),
}

BLEND = {
    "request_id": 1,
    "model_path": "",
    "picture_path": "",
    "alignment": o.Alignment(centre_px=(1.0, 2.0), angle=0.0, size_px=9.0),
    "base": b"",
    "frames": FRAMES,
}
SHEET = {"request_id": 1, "model_path": "", "seeds": (1,), "truncation_psi": 0.7, "size_px": 96}


def test_every_class_with_a_kind_is_in_the_list_once() -> None:
    def below(cls: type[m.Message]) -> set[type[m.Message]]:
        # slots=True makes each class twice; the module contains the second.
        meant = getattr(sys.modules[cls.__module__], cls.__name__)
        found = {cls} if cls.kind and meant is cls else set()
        return found.union(*(below(child) for child in cls.__subclasses__()))

    assert below(m.Message) == set(ALL_MESSAGES)
    kinds = [cls.kind for cls in ALL_MESSAGES]
    assert len(set(kinds)) == len(kinds)


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (m.LoadModel, {"request_id": 0, "model_path": "x"}),
        (o.Alignment, {"centre_px": (1.0, 2.0), "angle": 0.0, "size_px": 0.0}),
        (o.Alignment, {"centre_px": (1.0, math.nan), "angle": 0.0, "size_px": 9.0}),
        (o.BlendBack, BLEND),
        (o.BlendBack, {**BLEND, "latent": b"1", "track": b"1", "image_path": "x"}),
        (o.BlendBack, {**BLEND, "latent": b"1"}),
        (p.Pair, {"handle_px": (math.nan, 0.0), "target_px": (0.0, 0.0)}),
        (p.Pair, {"handle_px": (0.0, 0.0), "target_px": (0.0, -math.inf)}),
        (m.FrameTarget, {"folder": "f", "stem": "../up", "first_number": 1}),
        (m.FrameTarget, {"folder": "f", "stem": "a.png", "first_number": 1}),
        (m.FrameTarget, {"folder": "f", "stem": "", "first_number": 1}),
        (m.FrameTarget, {"folder": "f", "stem": "a\n", "first_number": 1}),
        (m.FrameTarget, {"folder": "f", "stem": "a", "first_number": 0}),
        (m.FrameTarget, {"folder": "", "stem": "a", "first_number": 1}),
        (
            m.Sample,
            {"request_id": 1, "model_path": "", "seed": -1, "truncation_psi": 1, "image_path": ""},
        ),
        (
            m.Sample,
            {
                "request_id": 1,
                "model_path": "",
                "seed": 2**32,
                "truncation_psi": 1,
                "image_path": "",
            },
        ),
        (
            drag_messages.Drag,
            {
                "request_id": 1,
                "model_path": "",
                "drag_id": 1,
                "latent": b"",
                "pairs": (),
                "frames": FRAMES,
            },
        ),
        (
            drag_messages.Drag,
            {
                "request_id": -1,
                "model_path": "",
                "drag_id": 1,
                "latent": b"",
                "pairs": (PAIR,),
                "frames": FRAMES,
            },
        ),
        *(
            (
                drag_messages.Drag,
                {
                    "request_id": 1,
                    "model_path": "",
                    "drag_id": 1,
                    "latent": b"",
                    "pairs": (PAIR,),
                    "frames": m.FrameTarget(folder="f", stem="s", first_number=5),
                    **wrong,
                },
            )
            for wrong in (
                {"earliest": 0, "latest": 9},
                {"earliest": 6, "latest": 9},
                {"earliest": 1, "latest": 4},
                {"earliest": 1, "latest": 9, "earlier_track": b"1", "earlier_count": 1},
            )
        ),
        (
            drag_messages.Preview,
            {
                "request_id": 1,
                "drag_id": 1,
                "step": 1,
                "width": 1,
                "height": 1,
                "pixels": b"\0" * 15,
            },
        ),
        (
            drag_messages.Preview,
            {
                "request_id": 1,
                "drag_id": 1,
                "step": 1,
                "width": -1,
                "height": -1,
                "pixels": b"\0" * 16,
            },
        ),
        (drag_messages.DragFinished, {**FINISHED, "frame_count": 2, "handles_px": b"\0" * 24}),
        (drag_messages.DragFinished, {**FINISHED, "frame_count": 0, "handles_px": b""}),
        (
            drag_messages.DragFinished,
            {**FINISHED, "first_number": 0, "frame_count": 1, "handles_px": b"\0" * 8},
        ),
        (drag_messages.DragFinished, {**FINISHED, "frame_count": 1, "handles_px": b""}),
        (drag_messages.DragFinished, {**FINISHED, "frame_count": 1, "handles_px": b"\0" * 16}),
        (
            drag_messages.DragFinished,
            {**FINISHED, "frame_count": 1, "handles_px": b"\0" * 8, "turns": b"\0" * 16},
        ),
        (p.Pair, {"handle_px": (0.0, 0.0), "target_px": (0.0, 0.0), "radius_px": -1.0}),
        (p.Pair, {"handle_px": (0.0, 0.0), "target_px": (0.0, 0.0), "scale": 0.0}),
        (p.Pair, {"handle_px": (0.0, 0.0), "target_px": (0.0, 0.0), "angle": math.nan}),
        (live.ReplacePairs, {"request_id": 1, "pairs": (), "live": True}),
        (live.ReplacePairs, {"request_id": 1, "pairs": (PAIR, PAIR), "live": True}),
        (
            live.CheckPoints,
            {"request_id": 1, "model_path": "", "latent": b"", "points_px": ()},
        ),
        (drag_messages.DragFinished, {**FINISHED, "frame_count": -1, "handles_px": b"\0" * 8}),
        (explore.SampleSheet, {**SHEET, "seeds": ()}),
        (explore.SampleSheet, {**SHEET, "seeds": (1, -1)}),
        (explore.SampleSheet, {**SHEET, "seeds": (2**32,)}),
        (explore.SampleSheet, {**SHEET, "size_px": 0}),
        (
            explore.PreviewPicture,
            {"request_id": 1, "model_path": "", "picture": b"", "size_px": 0},
        ),
        (
            explore.SeedThumbnail,
            {"request_id": 1, "seed": 1, "width": 1, "height": 2, "pixels": b"\0" * 16},
        ),
    ],
)
def test_a_message_with_invalid_values_is_refused(cls: type, values: dict[str, Any]) -> None:
    with pytest.raises(LocalProtocolError):
        cls(**values)
