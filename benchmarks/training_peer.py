"""The networks of vqmm's digits models written in PyTorch: what `benchmarks.training` measures against.

Layer for layer those of `vqmm.networks`, with PyTorch's own layers wherever it has them
(its attention, group and batch normalisation). Grids are [B, C, H, W].
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

POOLS = {"audio": (4, 2), "image": (3, 3)}


class LogMel(nn.Module):
    """Log10 mel power f32[B, 1, frames, mels] of recordings f32[B, samples]."""

    def __init__(self, rate: int, n_fft: int, hop_length: int, mels: int, fmin: float, fmax: float | None):
        super().__init__()
        self.n_fft, self.hop = n_fft, hop_length
        self.register_buffer("window", torch.hann_window(n_fft))
        ends = [2595.0 * math.log10(1.0 + hz / 700.0) for hz in (fmin, fmax or rate / 2)]
        edges = 700.0 * (10.0 ** (np.linspace(ends[0], ends[1], mels + 2) / 2595.0) - 1.0)
        bins = np.linspace(0.0, rate / 2, n_fft // 2 + 1)[:, None]
        rising, falling = (bins - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - bins) / np.diff(edges)[1:]
        bands = np.maximum(0.0, np.minimum(rising, falling)).astype("float32")
        self.register_buffer("bands", torch.from_numpy(bands))

    def forward(self, audio: Tensor) -> Tensor:
        frames = audio.shape[1] // self.hop
        waves = torch.stft(
            audio, self.n_fft, self.hop, window=self.window, pad_mode="constant", return_complex=True
        )
        power = torch.view_as_real(waves[:, :, :frames]).square().sum(-1)
        return torch.log10((power.transpose(1, 2) @ self.bands).clamp(min=1e-5))[:, None]


class ConvNorm(nn.Module):
    """3x3 convolution, batch normalisation, SiLU; or, residual, around a sum."""

    def __init__(self, inner: int, outer: int, stride: int = 1, residual: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(outer, eps=1e-3, momentum=0.01)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return F.silu(x + y if self.residual else y)


def stage(inner: int, outer: int) -> list[nn.Module]:
    return [ConvNorm(inner, outer, 2), ConvNorm(outer, outer, residual=True)]


class Encoder(nn.Module):
    """Shared latents [B, slots, dim] and private ones [B, cells, dim]."""

    def __init__(self, channels: int, model: dict[str, Any], pool: tuple[int, int], mean_normalised: bool):
        super().__init__()
        filters, self.dim, self.slots = model["filters"], model["quantizer"]["dim"], model["slots"]
        self.mean_normalised = mean_normalised
        sizes = [channels * (1 + mean_normalised), *filters]
        self.trunk = nn.Sequential(
            *[part for pair in zip(sizes, filters, strict=False) for part in stage(*pair)]
        )
        wide = 3 * filters[-1] // 2
        self.head = nn.Sequential(
            *stage(filters[-1], wide),
            nn.AdaptiveAvgPool2d(pool),
            nn.Flatten(),
            nn.Dropout(model["dropout"]),
            nn.Linear(wide * math.prod(pool), 256),
            nn.BatchNorm1d(256, eps=1e-3, momentum=0.01),
            nn.SiLU(),
            nn.Dropout(model["dropout"]),
            nn.Linear(256, self.slots * self.dim),
        )
        self.private = nn.Conv2d(filters[-1] + 2, self.dim, 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = torch.var_mean(features, dim=(1, 2, 3), keepdim=True, correction=0)
        spread = (variance + 1e-4).sqrt()
        x = (features - mean) / spread
        if self.mean_normalised:
            x = torch.cat([x, x - x.mean(2, keepdim=True)], 1)
        grid = self.trunk(x)
        shared = self.head(grid).view(-1, self.slots, self.dim)
        level = torch.cat([mean, spread], 1).expand(-1, -1, *grid.shape[2:])
        return shared, self.private(torch.cat([grid, level], 1)).flatten(2).transpose(1, 2)


class Decoded(NamedTuple):
    """The last layer [B, 1, H, W] and what it read."""

    parameters: Tensor
    hidden: Tensor


class Decoder(nn.Module):
    """From shared and private values to the features; `value` makes them of the last layer."""

    def __init__(self, model: dict[str, Any], grid: tuple[int, int], size: tuple[int, int, int], image: bool):
        super().__init__()
        filters, dim = list(reversed(model["filters"])), model["quantizer"]["dim"]
        width, self.grid, self.size, self.image = filters[0], grid, size, image
        self.queries = nn.Parameter(0.05 * torch.randn(math.prod(grid), width))
        self.places = nn.Parameter(0.05 * torch.randn(model["slots"], dim))
        self.absent = nn.Parameter(0.05 * torch.randn(dim))
        self.attention = nn.MultiheadAttention(width, 4, kdim=dim, vdim=dim, batch_first=True)
        parts: list[nn.Module] = [
            nn.Conv2d(width + dim, width, 1),
            ConvNorm(width, width, residual=True),
        ]
        for inner, outer in zip(filters, filters[1:], strict=False):
            parts += [nn.ConvTranspose2d(inner, outer, 4, 2, 1), nn.SiLU()]
        self.trunk = nn.Sequential(*parts)
        self.last = nn.ConvTranspose2d(filters[-1], size[0], 4, 2, 1)

    def forward(self, shared: Tensor, private: Tensor, keep: Tensor) -> Decoded:
        private = torch.where(keep[:, None, None], private, self.absent)
        tokens = shared + self.places
        queries = self.queries.expand(len(shared), -1, -1)
        read = self.attention(queries, tokens, tokens, need_weights=False)[0]
        x = torch.cat([read, private], -1).transpose(1, 2).unflatten(2, self.grid)
        hidden = self.trunk(x)
        return Decoded(self.read_out(hidden), hidden)

    def read_out(self, hidden: Tensor) -> Tensor:
        return self.last(hidden)[:, :, : self.size[1], : self.size[2]]

    def value(self, parameters: Tensor) -> Tensor:
        return parameters.sigmoid() if self.image else 1.5 * parameters - 2.5


class Discriminator(nn.Module):
    """Logits and features of a PatchGAN at one scale or several."""

    def __init__(self, channels: int, filters: list[int], scales: int):
        super().__init__()
        self.trunks = nn.ModuleList(self._trunk(channels, filters) for _ in range(scales))

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        logits, features = [], []
        for trunk in self.trunks:
            y = x
            for part in trunk[:-1]:
                y = part(y)
                features.append(y)
            logits.append(trunk[-1](y))
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        return logits, features

    @staticmethod
    def _trunk(channels: int, filters: list[int]) -> nn.Sequential:
        parts: list[nn.Module] = []
        for place, (inner, outer) in enumerate(zip([channels, *filters], filters, strict=False)):
            stride = 1 if place == len(filters) - 1 else 2
            layers: list[nn.Module] = [nn.Conv2d(inner, outer, 4, stride, 1, bias=not place)]
            if place:
                layers.append(nn.GroupNorm(8, outer))
            parts.append(nn.Sequential(*layers, nn.LeakyReLU(0.2)))
        return nn.Sequential(*parts, nn.Conv2d(filters[-1], 1, 4, 1, 1))


class Perceiver(nn.Module):
    """Feature maps of a picture; it is not trained."""

    def __init__(self, channels: int, filters: tuple[int, ...] = (16, 32, 64)):
        super().__init__()
        sizes = zip((channels, *filters), filters, strict=False)
        self.convs = nn.ModuleList(nn.Conv2d(inner, outer, 3, padding=1) for inner, outer in sizes)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        x, found = 2.0 * x - 1.0, []
        for conv in self.convs:
            x = F.relu(conv(x))
            found.append(x)
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        return found
