# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of the benchmarks, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models import model_path
from stylegan2 import ModelError, load_generator
from tests.tiny_generator import tiny_generator
from tools.bench import models
from tools.suzanne.truth import FactorMap, truth_of


def test_names_and_paths_lead_to_files() -> None:
    assert models.model_file("suzanne") == model_path("suzanne")
    assert models.model_file("some/file.pkl") == Path("some/file.pkl")


def test_a_missing_model_is_named_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(ModelError, match=r"twin.*is missing.*tools\.suzanne\.twin"):
        models.model_file("twin")
    (tmp_path / "twin.safetensors").touch()
    assert models.model_file("twin") == tmp_path / "twin.safetensors"


def test_every_file_has_a_card_and_is_small() -> None:
    folder = Path(models.__file__).parent
    for path in folder.glob("*.safetensors"):
        assert path.stem in models.OTHERS
        assert path.with_suffix(".md").is_file()
        assert path.stat().st_size <= 6_000_000


def test_the_truth_of_a_model_is_found_from_its_file() -> None:
    assert isinstance(truth_of(load_generator(model_path("suzanne"))), FactorMap)
    assert truth_of(tiny_generator()) is None
