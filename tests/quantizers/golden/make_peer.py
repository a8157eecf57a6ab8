"""Makes `peer.npz`: what vector-quantize-pytorch 1.32 does with given weights and inputs.

    pip install torch==2.13.0 vector-quantize-pytorch==1.32.0
    python tests/quantizers/golden/make_peer.py [FILE]

Only this script needs torch; the tests read the file. `make bench-quantizers` makes it anew elsewhere and
runs the tests on that. Each case holds the latents `x`,
the weights on the values whose sum is differentiated (`pull`), and what came out:
`codes`, `values`, losses, `gradient` of sum(values * pull) + losses with respect to `x`,
and the state before and after.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from vector_quantize_pytorch import FSQ, LFQ, ResidualVQ, SimVQ, VectorQuantize

CASES: dict[str, np.ndarray] = {}


def draw(seed: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape).astype("float32"))


def keep(case: str, **arrays: torch.Tensor) -> None:
    for name, value in arrays.items():
        CASES[f"{case}/{name}"] = value.detach().numpy().copy()


def nearest(case: str, cosine: bool, rotation: bool) -> None:
    layer = VectorQuantize(
        8,
        16,
        decay=0.9,
        commitment_weight=0.25,
        use_cosine_sim=cosine,
        rotation_trick=rotation,
        threshold_ema_dead_code=0,
        kmeans_init=False,
    )
    book = layer._codebook
    table = draw(1, 16, 8)
    table = torch.nn.functional.normalize(table, dim=-1) if cosine else table
    counts = torch.linspace(0.5, 4.0, 16)
    book.embed.data.copy_(table[None])
    book.embed_avg.data.copy_((table * counts[:, None])[None])
    book.cluster_size.data.copy_(counts[None])
    x = draw(2, 3, 40, 8)
    x = torch.nn.functional.normalize(x, dim=-1) if cosine else x
    x.requires_grad_()
    pull = draw(3, 3, 40, 8)
    layer.train()
    values, codes, loss = layer(x)
    ((values * pull).sum() + loss.sum()).backward()
    keep(case, x=x, pull=pull, table=table, counts=counts, codes=codes, values=values, commitment=loss.sum())
    keep(case, gradient=x.grad, table_after=book.embed[0], counts_after=book.cluster_size[0])
    keep(case, sums_after=book.embed_avg[0])


def fsq(case: str, levels: list[int]) -> None:
    layer = FSQ(levels).train()
    x = (2.0 * draw(4, 2, 50, len(levels))).requires_grad_()
    pull = draw(5, 2, 50, len(levels))
    values, codes = layer(x)
    (values * pull).sum().backward()
    keep(case, x=x, pull=pull, values=values, codes=codes, gradient=x.grad)


def lookup_free(case: str, spherical: bool) -> None:
    layer = LFQ(
        dim=6, codebook_size=64, spherical=spherical, entropy_loss_weight=0.1, commitment_loss_weight=0.25
    )
    if spherical:
        # The peer leaves unit length to `codebook_scale`; its values are of unit length either way.
        layer.codebook_scale = 1.0
    x = draw(6, 2, 50, 6).requires_grad_()
    pull = draw(7, 2, 50, 6)
    (values, codes, total), parts = layer.train()(x, inv_temperature=1.5, return_loss_breakdown=True)
    ((values * pull).sum() + total).backward()
    keep(case, x=x, pull=pull, values=values, codes=codes, total=total, gradient=x.grad)
    keep(case, commitment=parts.commitment, sure=parts.per_sample_entropy, even=parts.batch_entropy)


def sim_vq(case: str, rotation: bool) -> None:
    layer = SimVQ(dim=8, codebook_size=32, rotation_trick=rotation, commitment_weight=1.0).train()
    x = draw(8, 3, 40, 8).requires_grad_()
    pull = draw(9, 3, 40, 8)
    values, codes, loss = layer(x)
    ((values * pull).sum() + loss).backward()
    weight = layer.code_transform.weight
    keep(
        case,
        x=x,
        pull=pull,
        frozen=layer.frozen_codebook,
        map=weight.T,
        values=values,
        codes=codes,
        loss=loss,
    )
    keep(case, gradient=x.grad, map_gradient=weight.grad.T)


def residual(case: str) -> None:
    layer = ResidualVQ(
        dim=8,
        num_quantizers=3,
        codebook_size=16,
        decay=0.9,
        commitment_weight=0.25,
        rotation_trick=False,
        threshold_ema_dead_code=0,
        kmeans_init=False,
    ).train()
    tables = draw(10, 3, 16, 8) * torch.tensor([1.0, 0.5, 0.25])[:, None, None]
    for level, table in zip(layer.layers, tables, strict=True):
        level._codebook.embed.data.copy_(table[None])
        level._codebook.embed_avg.data.copy_(table[None])
        level._codebook.cluster_size.data.fill_(1.0)
    x = draw(11, 3, 40, 8).requires_grad_()
    pull = draw(12, 3, 40, 8)
    values, codes, losses = layer(x)
    ((values * pull).sum() + losses.sum()).backward()
    after = torch.stack([level._codebook.embed[0] for level in layer.layers])
    keep(case, x=x, pull=pull, tables=tables, values=values, codes=codes, commitment=losses.sum())
    keep(case, gradient=x.grad, tables_after=after)


if __name__ == "__main__":
    torch.manual_seed(0)
    nearest("euclidean", cosine=False, rotation=False)
    nearest("cosine", cosine=True, rotation=False)
    nearest("rotation", cosine=False, rotation=True)
    fsq("fsq_odd", [7, 5, 5])
    fsq("fsq_even", [8, 6, 4, 3])
    lookup_free("lfq", spherical=False)
    lookup_free("bsq", spherical=True)
    sim_vq("sim_vq", rotation=False)
    sim_vq("sim_vq_rotation", rotation=True)
    residual("residual")
    default = Path(__file__).with_name("peer.npz")
    np.savez_compressed(Path(sys.argv[1]) if len(sys.argv) > 1 else default, **CASES)
