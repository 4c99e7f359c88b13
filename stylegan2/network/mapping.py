# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping network: from a latent z (and a label) to the w vectors of the synthesis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import GeneratorConfig
from .layers import FullyConnectedLayer, LabelMatrix
from .shapes import check_shape

EPSILON = 1e-8


def normalize_second_moment(x: Tensor) -> Tensor:
    """Scale each row of ``N x D`` float32 to a mean square of 1."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


class MappingNetwork(nn.Module):
    """Fully connected layers on the normalised latent z, and truncation towards the mean w.

    Attributes:
        w_avg: ``w_dim`` float32, the mean of w over many z. It is a buffer: the training loop has
            to update it, and a checkpoint contains it.
    """

    w_avg: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        features = config.z_dim
        if config.c_dim:
            assert config.embed_features is not None  # filled in by GeneratorConfig
            is_plain = config.label_mode == "concat"
            kind = LabelMatrix if is_plain else FullyConnectedLayer
            self.embed = kind(config.c_dim, config.embed_features)
            features += config.embed_features
        for index in range(config.num_layers):
            last = index == config.num_layers - 1
            width = config.w_dim if last else config.mapping_features
            assert width is not None  # filled in by GeneratorConfig
            layer = FullyConnectedLayer(
                features, width, activate=True, lr_multiplier=config.lr_multiplier
            )
            self.add_module(f"fc{index}", layer)
            features = width
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(
        self,
        z: Tensor,
        c: Tensor | None = None,
        truncation_psi: float = 1.0,
        truncation_cutoff: int | None = None,
    ) -> Tensor:
        """Map latents z to W+: one w vector per layer.

        Args:
            z: ``N x z_dim`` float32, usually standard normal.
            c: ``N x c_dim`` float32 label, usually one-hot; required by models with labels.
            truncation_psi: Factor of the distance of w from its mean: 1 does not change w, 0
                returns the mean (Karras et al., "A Style-Based Generator Architecture for
                Generative Adversarial Networks", appendix B).
            truncation_cutoff: How many of the first w vectors are truncated; None truncates all.

        Returns:
            ``N x num_ws x w_dim`` float32. Without a cutoff, all w vectors of a sample are equal.

        Raises:
            ValueError: A shape is wrong, the label of a model with labels is missing, or the cutoff
                is negative.
        """
        check_shape("z", z, ("N", self.config.z_dim))
        if self.config.c_dim and self.config.label_mode == "concat":
            x = normalize_second_moment(torch.cat([z, self._embed_label(c, len(z))], dim=1))
        elif self.config.c_dim:
            embedded = normalize_second_moment(self._embed_label(c, len(z)))
            x = torch.cat([normalize_second_moment(z), embedded], dim=1)
        else:
            x = normalize_second_moment(z)
            if c is not None:
                check_shape("c", c, (len(z), 0))
        for index in range(self.config.num_layers):
            x = self.get_submodule(f"fc{index}")(x)
        ws = x.unsqueeze(1).repeat(1, self.config.num_ws, 1)
        return self._truncate(ws, truncation_psi, truncation_cutoff)

    def _embed_label(self, c: Tensor | None, count: int) -> Tensor:
        if c is None:
            raise ValueError(
                f"this model has labels: c of shape {count} x {self.config.c_dim} is needed"
            )
        check_shape("c", c, (count, self.config.c_dim))
        embedded: Tensor = self.embed(c)
        return embedded

    def _truncate(self, ws: Tensor, psi: float, cutoff: int | None) -> Tensor:
        if psi == 1:
            return ws
        truncated = self.w_avg + psi * (ws - self.w_avg)
        if cutoff is None or cutoff >= ws.shape[1]:
            return truncated
        if cutoff < 0:
            raise ValueError(f"truncation_cutoff must not be negative, but is {cutoff}")
        return torch.cat([truncated[:, :cutoff], ws[:, cutoff:]], dim=1)
