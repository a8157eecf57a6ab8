"""Makes `taming.npz`: what the original VQGAN's losses and discriminator give for given tensors.

    pip install torch==2.13.0
    git clone https://github.com/CompVis/taming-transformers   # at 3ba01b2
    PYTHONPATH=taming-transformers python tests/losses/golden/make_taming.py

Only this script needs torch and the original; the tests read the file. Held are the
discriminator's weights, a batch and a rebuilt batch that a last convolution makes of `hidden`,
and for both kinds of loss: the losses, the adaptive weight, and their gradients. The original
is given no LPIPS, whose weights would have to be fetched.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import torch

# LPIPS alone wants torchvision: it is not used.
sys.modules["taming.modules.losses.lpips"] = types.SimpleNamespace(LPIPS=None)
from taming.modules.discriminator.model import NLayerDiscriminator  # noqa: E402
from taming.modules.losses.vqperceptual import (  # noqa: E402
    VQLPIPSWithDiscriminator,
    hinge_d_loss,
    vanilla_d_loss,
)


def main() -> None:
    torch.manual_seed(0)
    kept: dict[str, np.ndarray] = {}
    loss = VQLPIPSWithDiscriminator.__new__(VQLPIPSWithDiscriminator)
    torch.nn.Module.__init__(loss)
    loss.discriminator = NLayerDiscriminator(input_nc=1, n_layers=2, ndf=8)
    loss.perceptual_weight, loss.codebook_weight, loss.discriminator_weight = 0.0, 1.0, 0.8
    loss.disc_conditional, loss.disc_factor, loss.discriminator_iter_start = False, 1.0, 0
    real = torch.rand(4, 1, 32, 32)
    hidden = torch.randn(4, 3, 32, 32)
    last = torch.nn.Conv2d(3, 1, 3, padding=1)
    for name, value in loss.discriminator.state_dict().items():
        kept[f"discriminator/{name}"] = value.numpy().copy()
    kept |= {"real": real.numpy(), "hidden": hidden.numpy()}
    kept |= {"kernel": last.weight.detach().numpy(), "bias": last.bias.detach().numpy()}
    for kind, critic in (("hinge", hinge_d_loss), ("nonsaturating", vanilla_d_loss)):
        loss.disc_loss = critic
        rebuilt = last(hidden)
        rebuilt.retain_grad()
        total, log = loss(torch.zeros(1), real, rebuilt, 0, 0, last_layer=last.weight)
        last.zero_grad()
        rebuilt.grad = None  # the adaptive weight has left its two gradients there
        total.backward()
        kept[f"{kind}/rebuilt"] = rebuilt.detach().numpy()
        kept[f"{kind}/total"] = total.detach().numpy()
        kept[f"{kind}/weight"] = log["train/d_weight"].numpy()
        kept[f"{kind}/generator"] = log["train/g_loss"].numpy()
        kept[f"{kind}/gradient_rebuilt"] = rebuilt.grad.numpy().copy()
        kept[f"{kind}/gradient_kernel"] = last.weight.grad.numpy().copy()
        loss.discriminator.zero_grad()
        judged, _ = loss(torch.zeros(1), real, rebuilt.detach(), 1, 0)
        judged.backward()
        kept[f"{kind}/critic"] = judged.detach().numpy()
        for name, parameter in loss.discriminator.named_parameters():
            kept[f"{kind}/gradient/{name}"] = parameter.grad.numpy().copy()
    kept["logits_real"] = loss.discriminator(real).detach().numpy()
    np.savez_compressed(Path(__file__).with_name("taming.npz"), **kept)


if __name__ == "__main__":
    main()
