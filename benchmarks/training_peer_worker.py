"""PyTorch's training step in turns; `benchmarks.training` runs it with a Python that has PyTorch."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.training_peer_model import SIDES, Generator, Near, Passed, discriminators
from benchmarks.turns import peak_mebibytes, serve

BATCHES = 4
ADAM = {"betas": (0.9, 0.999), "eps": 1e-7, "fused": True}


class Step:
    """A VQ-VAE's step.

    Args:
        config: as `vqmm.config` writes it.
        channels_last: the memory layout of all grids.
        compiled: whether forward and losses go through `torch.compile`.
    """

    def __init__(self, config: dict[str, Any], channels_last: bool, compiled: bool):
        _check(config)
        self.gan = config["model"]["kind"] == "vqgan"
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net = Generator(config).train().to(memory_format=self.layout)
        self.near: Any = Near(config, self.gan).to(memory_format=self.layout)
        self.parts = [self.net]
        self.call: Any = torch.compile(self.net) if compiled else self.net
        if compiled:
            self.near = torch.compile(self.near)
        self.clip = config["train"]["clip_norm"]
        self.optimizer = torch.optim.Adam(self.net.parameters(), config["train"]["learning_rate"], **ADAM)

    def parameters(self) -> int:
        return sum(p.numel() for part in self.parts for p in part.parameters())

    def __call__(self, audio: Tensor, image: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        out = self.call(audio, image)
        loss = out.rest + sum(self.near(out.features, self.rebuilt(out.parameters)))
        loss.backward()
        self.move(self.net, self.optimizer)
        self.net.quantizer.update(out.chosen)
        return loss.detach()

    def rebuilt(self, parameters: list[Tensor]) -> list[Tensor]:
        return [self.net.decoders[name].value(x) for name, x in zip(SIDES, parameters, strict=True)]

    def move(self, part: nn.Module, optimizer: Any) -> None:
        nn.utils.clip_grad_norm_(part.parameters(), self.clip, foreach=True)
        optimizer.step()


class AdversarialStep(Step):
    """A VQGAN's step as it is mostly written: discriminators once for the generator, once for themselves."""

    def __init__(self, config: dict[str, Any], channels_last: bool, compiled: bool):
        super().__init__(config, channels_last, compiled)
        self.critics = discriminators(config, self.net.channels).to(memory_format=self.layout)
        self.parts.append(self.critics)
        self.settings = config["loss"]["adversarial"]
        rate = config["model"]["discriminator"]["learning_rate"]
        self.theirs = list(self.critics.parameters())
        self.critic_optimizer = torch.optim.Adam(self.theirs, rate, **{**ADAM, "betas": (0.5, 0.9)})
        self.rebuilding = list(self.net.decoders.parameters())
        self.averages = [p.detach().clone() for p in self.rebuilding]
        self.accuracy = dict.fromkeys(SIDES, torch.tensor(0.75))

    def __call__(self, audio: Tensor, image: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        out = self.call(audio, image)
        rebuilt = self.rebuilt(out.parameters)
        self.critics.requires_grad_(False)
        loss = out.rest
        for name, near, real, fake in zip(
            SIDES, self.near(out.features, rebuilt), out.features, rebuilt, strict=True
        ):
            critic, kernel = self.critics[name], self.net.decoders[name].last.weight
            logits, found = critic(fake)
            with torch.no_grad():
                _, wanted = critic(real)
            push = -_mean(logits)
            lengths = [torch.autograd.grad(x, kernel, retain_graph=True)[0].norm() for x in (near, push)]
            loss = loss + near + self._weight(name, *lengths) * push
            loss = loss + self.settings["feature_matching"] * _matching(wanted, found)
        loss.backward()
        self.move(self.net, self.optimizer)
        self.critics.requires_grad_(True)
        self.critic_optimizer.zero_grad()
        verdicts = {
            name: (self.critics[name](real)[0], self.critics[name](fake.detach())[0])
            for name, real, fake in zip(SIDES, out.features, rebuilt, strict=True)
        }
        torch.stack([_hinge(*verdict) for verdict in verdicts.values()]).sum().backward()
        self._finish(out, verdicts)
        return loss.detach()

    def _weight(self, name: str, near: Tensor, push: Tensor) -> Tensor:
        weight = (near / (push + 1e-4)).clamp(max=self.settings["most"]) * self.settings["weight"]
        return weight * (self.accuracy[name] >= self.settings["hold_below"])

    @torch.no_grad()
    def _finish(self, out: Passed, verdicts: dict[str, tuple[list[Tensor], list[Tensor]]]) -> None:
        """The critics' step, the codebook's and the averages."""
        for name, (real, fake) in verdicts.items():
            goes = (self.accuracy[name] <= self.settings["hold_above"]).float()
            for p in self.critics[name].parameters():
                p.grad.mul_(goes)
            right = [(r > 0).float().mean() + (f < 0).float().mean() for r, f in zip(real, fake, strict=True)]
            self.accuracy[name] = 0.98 * self.accuracy[name] + 0.02 * 0.5 * torch.stack(right).mean()
        self.move(self.critics, self.critic_optimizer)
        self.net.quantizer.update(out.chosen)
        torch._foreach_lerp_(self.averages, self.rebuilding, 1.0 - self.settings["average"])


class OnePassStep(AdversarialStep):
    """The same in the order of `vqmm.models.VQGAN`: what discriminators see once serves both sides."""

    def __call__(self, audio: Tensor, image: Tensor) -> Tensor:
        out = self.call(audio, image)
        leaves = [x.detach().requires_grad_() for x in out.parameters]
        rebuilt = self.rebuilt(leaves)
        loss, critic, upstream, verdicts = out.rest.detach(), out.rest.new_zeros(()), [], {}
        for place, (name, near) in enumerate(zip(SIDES, self.near(out.features, rebuilt), strict=True)):
            leaf, hidden = leaves[place], out.hidden[place].detach()
            real, wanted = self.critics[name](out.features[place])
            fake, made = self.critics[name](rebuilt[place])
            pull, push, slope = (
                torch.autograd.grad(x, leaf, retain_graph=True)[0]
                for x in (near, -_mean(fake), _matching([x.detach() for x in wanted], made))
            )
            read_out = self.net.decoders[name].read_out(hidden)
            kernel = self.net.decoders[name].last.weight
            lengths = [
                torch.autograd.grad(read_out, kernel, x, retain_graph=True)[0].norm() for x in (pull, push)
            ]
            weight = self._weight(name, *lengths)
            upstream.append(pull + weight * push + self.settings["feature_matching"] * slope)
            critic = critic + _hinge(real, fake)
            verdicts[name] = (real, fake)
            loss = loss + near.detach()
        lessons = torch.autograd.grad(critic, self.theirs)
        for p, lesson in zip(self.theirs, lessons, strict=True):
            p.grad = lesson
        self.optimizer.zero_grad()
        torch.autograd.backward([out.rest, *out.parameters], [torch.ones_like(out.rest), *upstream])
        self.move(self.net, self.optimizer)
        self._finish(out, verdicts)
        return loss


def _mean(logits: list[Tensor]) -> Tensor:
    return torch.stack([x.mean() for x in logits]).mean()


def _matching(wanted: list[Tensor], found: list[Tensor]) -> Tensor:
    return torch.stack([(w - f).abs().mean() for w, f in zip(wanted, found, strict=True)]).mean()


def _hinge(real: list[Tensor], fake: list[Tensor]) -> Tensor:
    return 0.5 * (_mean([F.relu(1.0 - x) for x in real]) + _mean([F.relu(1.0 + x) for x in fake]))


def _check(config: dict[str, Any]) -> None:
    """The peer knows the shape of the digits' configs and no other."""
    model, loss, spec = config["model"], config["loss"], config["model"]["quantizer"]
    fits = (
        model["kind"] in ("vqvae", "vqgan")
        and (model["layout"], model["pixels"], model["shared_gradient"]) == ("slots", "value", 0.0)
        and (spec["kind"], spec["private_kind"], spec["distance"]) == ("nearest", "nearest", "cosine")
        and (spec["update"], spec["shared_update"], spec["lookup_dim"]) == ("ema", "gradient", 0)
        and min(spec["image"], spec["audio"]) > 0
        and not any(loss[name] for name in ("swapped", "code_matching", "cross_commitment", "paired_ema"))
        and not any(loss["adversarial"][name] for name in ("lecam", "r1"))
    )
    if not fits:
        raise SystemExit("the peer has no such model: take configs/digits.yaml or configs/digits-vqgan.yaml")


KINDS = {"one pass": OnePassStep, "usual": AdversarialStep}


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    config = task["config"]
    kind = KINDS[task["order"]] if config["model"]["kind"] == "vqgan" else Step
    step = kind(config, task["channels_last"], task["compiled"])
    audio, image, count = config["data"]["audio"], config["data"]["image"], config["train"]["batch_size"]
    shape = (count, image["channels"], image["height"], image["width"])
    batches = [
        (torch.rand(count, audio["samples"]) - 0.5, torch.rand(shape).to(memory_format=step.layout))
        for _ in range(BATCHES)
    ]
    before = peak_mebibytes()
    start = time.perf_counter()
    step(*batches[0])
    ready = {
        "parameters": step.parameters(),
        "first_step_seconds": time.perf_counter() - start,
        "mebibytes_before": before,
        "versions": {"torch": torch.__version__},
    }
    if task.get("count") and not task["compiled"]:
        from torch.utils.flop_counter import FlopCounterMode

        with FlopCounterMode(display=False) as counter:
            step(*batches[0])
        ready["multiply_adds"] = counter.get_total_flops() // 2

    def run(count: int) -> None:
        for number in range(count):
            found = step(*batches[number % BATCHES])
        float(found)

    serve(run, ready)
