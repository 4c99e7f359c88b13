# SPDX-License-Identifier: GPL-3.0-or-later
"""The models of the benchmarks, by their names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.models import model_path, sample_latent
from engine.output.render import render_frames
from stylegan2 import Generator, ModelError, load_generator
from tests.tiny_generator import tiny_generator
from tools.bench import models
from tools.bench.landmarks import LANDMARKS, Detector
from tools.bench.pairs import Pair
from tools.bench.results import Drag
from tools.bench.rows import ROWS
from tools.bench.runs import Bench, Job
from tools.suzanne.truth import FactorMap, truth_of
from tools.suzanne.twin import make_twin


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


def _measures_without_edit(generator: Generator) -> set[str]:
    latents = np.stack([sample_latent(generator, seed, 0.7) for seed in (0, 1)])
    images = np.stack(list(render_frames(generator, latents)))
    points = np.full((2, len(LANDMARKS), 2), images.shape[1] / 2, dtype=np.float32)
    drag = Drag("choosing", 0, "1", "no edit", "model", "detector")
    job = Job(Pair(0, (0, 1), latents, images, points), "1", (ROWS["no edit"],), (drag,), 10)
    (result,) = Bench(generator, Detector.load()).run(job)
    return set(result.measures)


def test_a_model_with_factors_is_compared_with_its_twin_image_and_another_is_not() -> None:
    torch.manual_seed(0)
    with_factors = _measures_without_edit(make_twin().freeze())
    without = _measures_without_edit(tiny_generator())
    assert {"strange", "colours", "fur", "eye", "background"} == with_factors - without
    assert {"md", "arrived", "uncertainty", "border", "mahalanobis"} <= without
