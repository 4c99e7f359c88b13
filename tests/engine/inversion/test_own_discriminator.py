# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss by the model's own discriminator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from engine.errors import RequestError
from engine.inversion import own_discriminator
from engine.inversion.alignment import Alignment
from engine.inversion.feature_loss import matching_distance
from engine.inversion.loss_choice import LossChoice, make_loss
from engine.inversion.own_discriminator import DiscriminatorFeatures
from engine.inversion.solve import InversionOptions, invert
from engine.models import sample_latent
from engine.output.render import render_image
from stylegan2 import load_generator
from stylegan2.network.discriminator import DiscriminatorBlocks
from tests.stylegan2.golden import golden_path

CPU = torch.device("cpu")
NAME = "ada_cond_r32"


def test_the_distance_is_relative_to_each_layer() -> None:
    wanted = [torch.full((2, 3, 4, 4), 2.0), torch.full((2, 5, 2, 2), -10.0)]
    ours = [wanted[0] + 1.0, wanted[1] * 0.8]
    # Half of the first layer's size, and a fifth of the second's.
    torch.testing.assert_close(matching_distance(ours, wanted), torch.full((2,), 0.35))


def test_a_picture_is_found_by_its_features() -> None:
    path = golden_path(NAME)
    generator = load_generator(path)
    pixels = render_image(generator, sample_latent(generator, 3, 0.7, 1))
    loss = make_loss(LossChoice("discriminator"), path, CPU)
    frame, options = Alignment.whole(32, 32), InversionOptions(steps=40, align=False)
    seen: list[float] = []
    found = invert(
        generator,
        pixels,
        frame,
        options,
        loss=loss,
        on_step=lambda step: seen.append(step.loss) if step.phase == "w+" else None,
    )
    plain = invert(generator, pixels, frame, options)
    assert seen[-1] < 0.9 * seen[0]
    assert (found.latent != plain.latent).any()


def test_the_file_of_the_loss_goes_before_the_model() -> None:
    chosen = make_loss(LossChoice("discriminator", golden_path(NAME)), Path("none.pkl"), CPU)
    image, ones = torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)
    assert chosen(image, image + 0.5, ones).item() > chosen(image, image, ones).item()
    with pytest.raises(RequestError, match="holds no discriminator that can be read"):
        make_loss(LossChoice("discriminator"), golden_path("human_r64"), CPU)


@pytest.mark.parametrize(
    ("shape", "fitting"),
    [((32, 32), 32), ((40, 24), None), ((64, 64), 32), ((20, 20), 32), ((100, 50), None)],
)
def test_images_of_other_sizes_are_made_to_fit(shape: tuple[int, int], fitting: int | None) -> None:
    features = DiscriminatorFeatures(golden_path(NAME), CPU)
    first, *_, last = features(torch.zeros(1, 3, *shape))
    height, width = first.shape[2:]
    assert (height // 8, width // 8) == tuple(last.shape[2:])
    if fitting:
        assert (height, width) == (fitting, fitting)
    else:
        assert width < height < 64


@pytest.mark.parametrize("channels", [1, 4])
def test_grey_is_taken_and_other_channels_are_a_sentence(
    channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = DiscriminatorBlocks((4, 4), channels)
    for weight in network.parameters():
        torch.nn.init.normal_(weight)
    monkeypatch.setattr(own_discriminator, "load_discriminator", lambda path, device: network)
    if channels == 4:
        with pytest.raises(RequestError, match="trained on images of 4 channels"):
            DiscriminatorFeatures(Path("model.pkl"), CPU)
        return
    image = torch.rand(1, 3, 8, 8)
    same = image[:, [2, 0, 1]]
    features = DiscriminatorFeatures(Path("model.pkl"), CPU)
    torch.testing.assert_close(features(image)[-1], features(same)[-1])
