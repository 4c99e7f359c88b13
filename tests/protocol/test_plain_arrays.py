# SPDX-License-Identifier: GPL-3.0-or-later
"""The reader of plain arrays: the order of what it reads."""

from __future__ import annotations

import io

import numpy as np
import pytest

from draggan_blender.protocol.plain_arrays import PlainArraysError, read_array


def _npy(values: object, order: str) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values, order=order))  # type: ignore[call-overload]
    return file.getvalue()


@pytest.mark.parametrize("order", ["C", "F"])
def test_numbers_are_read_in_either_order(order: str) -> None:
    values = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    np.testing.assert_array_equal(read_array(_npy(values, order)), values)


@pytest.mark.parametrize("order", ["C", "F"])
def test_texts_are_a_list_at_most(order: str) -> None:
    assert read_array(_npy(["a", "bc"], order)).tolist() == ["a", "bc"]
    with pytest.raises(PlainArraysError, match="texts in 2 dimensions"):
        read_array(_npy([["a", "b"], ["c", "d"]], order))
