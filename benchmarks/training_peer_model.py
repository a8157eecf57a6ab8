"""A VQ-VAE or VQGAN of PyTorch, with the quantizer and the losses of vqmm's digits configs."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.training_peer import POOLS, Decoder, Discriminator, Encoder, LogMel, Perceiver

SIDES = ("audio", "image")


class Quantizer(nn.Module):
    """Nearest codes by cosine in one table of ranges: shared ones by gradient, private ones by averages.

    Plain PyTorch rather than vector-quantize-pytorch, whose layer does more in a step than the
    search, the averages and the revival that ours does: the comparison would be of that.
    """

    def __init__(self, spec: dict[str, Any]):
        super().__init__()
        sizes = {name: spec[name] for name in ("shared", "image", "audio")}
        self.ranges, start = {}, 0
        for name, size in sizes.items():
            self.ranges[name] = (start, start + size)
            start += size
        self.table = nn.Parameter(F.normalize(torch.randn(start, spec["dim"]), dim=-1))
        self.register_buffer("counts", torch.ones(start))
        self.register_buffer("sums", self.table.detach().clone())
        self.register_buffer("ages", torch.zeros(start))
        self.commitment, self.decay, self.revive = (
            spec["commitment"],
            spec["decay"],
            spec["revive_below"],
        )

    def codes(self, name: str) -> Tensor:
        start, stop = self.ranges[name]
        return F.normalize(self.table[start:stop], dim=-1)

    def forward(self, latents: Tensor, name: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Values with the latents' gradient, rows of the range, losses of commitment and codebook."""
        x, table = F.normalize(latents, dim=-1), self.codes(name)
        with torch.no_grad():
            rows = (x.flatten(0, 1) @ table.T).argmax(-1).view(x.shape[:2])
        chosen = F.embedding(rows, table)
        fixed = chosen.detach()
        codebook = F.mse_loss(chosen, x.detach()) if name == "shared" else x.new_zeros(())
        return x + (fixed - x).detach(), rows, self.commitment * F.mse_loss(x, fixed), codebook

    @torch.no_grad()
    def update(self, chosen: list[tuple[str, Tensor, Tensor]]) -> None:
        """Moves the averages by the latents and rows of every range, and revives what is idle."""
        counts, sums = torch.zeros_like(self.counts), torch.zeros_like(self.sums)
        pools: dict[str, list[Tensor]] = {}
        for name, latents, rows in chosen:
            start, _ = self.ranges[name]
            x, at = F.normalize(latents.flatten(0, 1), dim=-1), start + rows.flatten()
            counts.index_add_(0, at, torch.ones_like(at, dtype=counts.dtype))
            sums.index_add_(0, at, x)
            pools.setdefault(name, []).append(x)
        self.counts.lerp_(counts, 1.0 - self.decay)
        for name, (start, stop) in self.ranges.items():
            if name == "shared":
                continue
            n, s, ages = self.counts[start:stop], self.sums[start:stop], self.ages[start:stop]
            s.lerp_(sums[start:stop], 1.0 - self.decay)
            total = n.sum()
            smooth = (n + 1e-5) / (total + len(n) * 1e-5) * total
            codes = F.normalize(s / smooth[:, None], dim=-1)
            dead = (n < self.revive * n.mean()) & (ages >= 100)
            pool = torch.cat(pools[name])
            fresh = pool[torch.randint(len(pool), (len(n),))]
            n.copy_(torch.where(dead, n.mean(), n))
            s.copy_(torch.where(dead[:, None], fresh * n[:, None], s))
            ages.copy_(torch.where(dead, 0.0, ages + 1.0))
            self.table[start:stop] = torch.where(dead[:, None], fresh, codes)


class Passed(NamedTuple):
    """A batch on its way: all losses before the decoders, features, what the decoders gave, and codes."""

    rest: Tensor
    features: list[Tensor]
    parameters: list[Tensor]
    hidden: list[Tensor]
    chosen: list[tuple[str, Tensor, Tensor]]


class Generator(nn.Module):
    """Everything but the discriminators."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        model, self.weights = config["model"], config["loss"]
        audio, image = config["data"]["audio"], config["data"]["image"]
        self.log_mel = LogMel(audio["sample_rate"], **model["log_mel"])
        frames = audio["samples"] // model["log_mel"]["hop_length"]
        sizes = {
            "audio": (1, frames, model["log_mel"]["mels"]),
            "image": (image["channels"], image["height"], image["width"]),
        }
        self.encoders, self.decoders = nn.ModuleDict(), nn.ModuleDict()
        for name, size in sizes.items():
            normalised = model["mean_normalised"] and name == "audio"
            self.encoders[name] = Encoder(size[0], model, POOLS[name], normalised)
            halvings = 2 ** len(model["filters"])
            grid = (-(-size[1] // halvings), -(-size[2] // halvings))
            self.decoders[name] = Decoder(model, grid, size, name == "image")
        self.quantizer = Quantizer(model["quantizer"])
        self.drop = model["private_drop"]
        self.channels = {name: size[0] for name, size in sizes.items()}

    def forward(self, audio: Tensor, image: Tensor) -> Passed:
        features = [self.log_mel(audio), image]
        rest, raw, rows, parameters, hidden, chosen = [], [], [], [], [], []
        for name, items in zip(SIDES, features, strict=True):
            shared, private = self.encoders[name](items)
            values, codes, commitment, codebook = self.quantizer(shared, "shared")
            own, own_codes, own_commitment, _ = self.quantizer(private, name)
            keep = torch.rand(len(items), device=items.device) >= self.drop
            out = self.decoders[name](values.detach(), own, keep)
            rest += [commitment, codebook, own_commitment]
            raw.append(shared)
            rows.append(codes)
            parameters.append(out.parameters)
            hidden.append(out.hidden)
            chosen += [("shared", shared.detach(), codes), (name, private.detach(), own_codes)]
        rest.append(self._alignment(raw))
        return Passed(torch.stack(rest).sum(), features, parameters, hidden, chosen)

    def _alignment(self, raw: list[Tensor]) -> Tensor:
        w, (audio, image) = self.weights, [F.normalize(x, dim=-1) for x in raw]
        logits = audio.flatten(1) @ image.flatten(1).T / (audio.shape[1] * w["temperature"])
        right = torch.arange(len(logits))
        contrastive = 0.5 * (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right))
        table = self.quantizer.codes("shared").T
        logs = [F.log_softmax(x @ table / w["temperature"], dim=-1) for x in (audio, image)]
        disagreement = -torch.logsumexp(logs[0] + logs[1], dim=-1).mean()
        use = 0.5 * (logs[0].exp() + logs[1].exp()).mean(0)
        entropy = -(use * (use + 1e-10).log()).sum(-1).mean()
        return w["contrastive"] * contrastive + w["agreement"] * (disagreement - w["spread"] * entropy)


def reconstruction(features: Tensor, rebuilt: Tensor) -> Tensor:
    error = features - rebuilt
    return (error.abs() + error.square()).mean()


def multiresolution(features: Tensor, rebuilt: Tensor, halvings: int = 3) -> Tensor:
    error = features - rebuilt
    parts = [error.abs().mean()]
    for _ in range(halvings):
        error = F.avg_pool2d(error, 2)
        parts.append(error.abs().mean())
    return torch.stack(parts).mean()


def perceptual(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    parts = []
    for r, f in zip(real, fake, strict=True):
        unit = [x * (x.square().sum(1, keepdim=True) + 1e-10).rsqrt() for x in (r, f)]
        parts.append((unit[0] - unit[1]).square().sum(1).mean())
    return torch.stack(parts).sum()


class Near(nn.Module):
    """Losses of what is rebuilt, discriminators apart: one for each modality."""

    def __init__(self, config: dict[str, Any], gan: bool):
        super().__init__()
        self.weights = config["loss"]
        self.perceiver = Perceiver(config["data"]["image"]["channels"]) if gan else None

    def forward(self, features: list[Tensor], rebuilt: list[Tensor]) -> list[Tensor]:
        terms = [
            self.weights["reconstruction"] * reconstruction(*pair)
            for pair in zip(features, rebuilt, strict=True)
        ]
        if self.perceiver is not None:
            terms[0] = terms[0] + self.weights["multiresolution"] * multiresolution(features[0], rebuilt[0])
            with torch.no_grad():
                real = self.perceiver(features[1])
            terms[1] = terms[1] + self.weights["perceptual"] * perceptual(real, self.perceiver(rebuilt[1]))
        return terms


def discriminators(config: dict[str, Any], channels: dict[str, int]) -> nn.ModuleDict:
    spec = config["model"]["discriminator"]
    scales = {"audio": spec["audio_scales"], "image": 1}
    return nn.ModuleDict(
        {name: Discriminator(channels[name], spec["filters"], scales[name]) for name in SIDES}
    )
