# SPDX-License-Identifier: GPL-3.0-or-later
"""Tensors by name, from the containers of ``torch.save`` and from safetensors files."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stylegan2 import ModelError, read_weights

ONE, TWO = torch.arange(6.0).reshape(2, 3), torch.tensor([0.5, -2.0])


def _is_of_net(name: str) -> bool:
    return name.startswith("net.")


@pytest.mark.parametrize("is_zip", [True, False])
@pytest.mark.parametrize("wrapper", ["", "state_dict", "model"])
def test_only_what_is_wanted_is_read(is_zip: bool, wrapper: str, tmp_path: Path) -> None:
    state = {"net.one": ONE, "net.two": TWO, "other": torch.tensor([1, 2])}
    value = {wrapper: state, "epoch": 3} if wrapper else state
    path = tmp_path / "weights.pth"
    torch.save(value, path, _use_new_zipfile_serialization=is_zip)
    found = read_weights(path, _is_of_net)
    assert found.keys() == {"net.one", "net.two"}
    assert torch.equal(found["net.one"], ONE)
    assert torch.equal(found["net.two"], TWO)
    assert read_weights(path, lambda name: False) == {}


def test_half_precision_becomes_float32(tmp_path: Path) -> None:
    save_file({"net.one": ONE.half(), "net.two": TWO.bfloat16()}, tmp_path / "a.safetensors")
    found = read_weights(tmp_path / "a.safetensors", _is_of_net)
    assert torch.equal(found["net.one"], ONE)
    assert torch.equal(found["net.two"], TWO)


def test_wanted_whole_numbers_are_a_sentence(tmp_path: Path) -> None:
    torch.save({"net.one": torch.tensor([1, 2])}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="floating-point numbers are expected"):
        read_weights(tmp_path / "a.pth", _is_of_net)


def test_tensors_that_share_their_data_are_refused(tmp_path: Path) -> None:
    much = torch.zeros(4096)
    torch.save({f"net.{number}": much for number in range(9)}, tmp_path / "a.pth")
    with pytest.raises(ModelError, match="its tensors share their data"):
        read_weights(tmp_path / "a.pth", _is_of_net)


def test_a_plain_pickle_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"net.one": 1}, protocol=4))
    with pytest.raises(ModelError, match=r"but a file of torch.save or a safetensors file is"):
        read_weights(tmp_path / "a.pkl", _is_of_net)
    with pytest.raises(ModelError, match="cannot be read"):
        read_weights(tmp_path / "none.pth", _is_of_net)
