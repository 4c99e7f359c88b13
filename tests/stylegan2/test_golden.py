# SPDX-License-Identifier: GPL-3.0-or-later
"""The network computes what the public implementations compute from the same files.

There is one exception in the golden files: the StyleGAN2-ADA software ran the last block of
``ada_cond_r32`` in half precision (its features are all exact float16 numbers), as it does with
``num_fp16_res=1`` on every device. Values that depend on that block are compared with the tolerance
of float16. A comparison with float64 shows that float32 is more accurate.
"""

from __future__ import annotations

import copy

import pytest
import torch

from stylegan2 import Generator, load_generator

from .golden import NAMES, golden_arrays, golden_path, relative_error

FLOAT32_TOLERANCE = 1e-5
FLOAT16_TOLERANCE = 2.0**-10
HALF_PRECISION = {"ada_cond_r32": {"feat_b32", "img_const", "img_nonoise"}}

Golden = tuple[str, Generator, dict[str, torch.Tensor]]


@pytest.fixture(params=NAMES)
def golden(request: pytest.FixtureRequest) -> Golden:
    name = request.param
    return name, load_generator(golden_path(name)), golden_arrays(name)


def tolerance(name: str, key: str) -> float:
    return FLOAT16_TOLERANCE if key in HALF_PRECISION.get(name, ()) else FLOAT32_TOLERANCE


def test_mapping_and_truncation_match(golden: Golden) -> None:
    _, generator, arrays = golden
    z, c = arrays["z"], arrays["c"]
    found = {
        "ws": generator.mapping(z, c),
        "ws_psi07": generator.mapping(z, c, truncation_psi=0.7),
        "ws_psi05_cut3": generator.mapping(z, c, truncation_psi=0.5, truncation_cutoff=3),
    }
    assert "ws" in arrays
    for key, ws in found.items():
        if key not in arrays:  # a file without an average has no truncation
            assert key == "ws_psi05_cut3" or "ws_psi07" not in arrays
            continue
        assert relative_error(ws, arrays[key]) < FLOAT32_TOLERANCE, key


@pytest.mark.parametrize(("key", "noise_mode"), [("img_const", "const"), ("img_nonoise", "none")])
def test_images_match(golden: Golden, key: str, noise_mode: str) -> None:
    name, generator, arrays = golden
    image = generator.synthesis(arrays["ws"], noise_mode=noise_mode)
    assert relative_error(image, arrays[key]) < tolerance(name, key)


def test_features_of_every_block_match(golden: Golden) -> None:
    name, generator, arrays = golden
    keys = {f"feat_b{resolution}": resolution for resolution in generator.resolutions}
    stored = {key for key in arrays if key.startswith("feat_")}
    assert stored <= keys.keys()
    assert len(stored) in (0, len(keys))
    for key in stored:
        resolution = keys[key]
        features = generator.features(arrays["ws"][:1], resolution)
        assert relative_error(features, arrays[key]) < tolerance(name, key), key


def test_float32_is_within_rounding_of_float64(golden: Golden) -> None:
    _, generator, arrays = golden
    image = generator.synthesis(arrays["ws"])
    exact = copy.deepcopy(generator).double().synthesis(arrays["ws"].double())
    assert relative_error(image.double(), exact) < FLOAT32_TOLERANCE


def test_the_exceptions_are_half_precision_in_the_golden_files() -> None:
    for name in NAMES:
        for key, array in golden_arrays(name).items():
            if key.startswith("feat_"):
                is_half = torch.equal(array, array.half().float())
                assert is_half == (key in HALF_PRECISION.get(name, ())), (name, key)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("name", NAMES)
def test_images_match_on_cuda(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    generator, arrays = load_generator(golden_path(name), "cuda"), golden_arrays(name)
    image = generator.synthesis(arrays["ws"].cuda()).cpu()
    assert relative_error(image, arrays["img_const"]) < tolerance(name, "img_const")
