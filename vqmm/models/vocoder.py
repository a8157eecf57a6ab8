"""A neural vocoder: from log-mel spectrograms to sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from vqmm import losses
from vqmm.audio import LogMel
from vqmm.config import AudioSpec
from vqmm.config import Vocoder as Spec
from vqmm.models.adversary import Adversary, gradient_length, sight
from vqmm.models.autoencoder import whole
from vqmm.models.dtype_policy import dtype_policy
from vqmm.models.steps import add_step
from vqmm.replicas import replica_count

DEFAULTS = Spec()

FLOOR = 1e-7  # power that the loss still hears: below that of the log-mel that is given


@keras.saving.register_keras_serializable("vqmm")
class Vocoder(Adversary, keras.Model):
    """Turns log-mel into a waveform in one pass, and learns to from recordings.

    It minimises the L1 of log-mel spectrograms of several resolutions, against discriminators that
    see complex spectra (as Vocos does, Siuzdak 2023). The gradients of the discriminators are scaled
    to that of the spectrograms where they meet, at the waveform (Défossez et al. 2022, section 3.4).

    Args:
        log_mel: layer from waveforms to the log-mel that is given, a `vqmm.audio.LogMel`.
        decoder: layer from log-mel to waveforms, a `vqmm.networks.WaveDecoder`.
        discriminators: by name `audio`, of waveforms; none for no adversarial loss.
        adversarial: settings, see `vqmm.models.adversary.ADVERSARIAL`.
        windows: of the loss's spectrograms, samples, a quarter apart.
        segment: log-mel frames that a training step looks at, cut out of each clip anew; 0: all.
        samples: of the clips that it is trained on.
        seed: of the draws.

    A batch is a dict with `audio` f32[B, samples] and `audio_mask` bool[B]; with `log_mel`
    f32[B, frames, mels, 1] the sound is made from that.

    Input: log-mel f32[B, frames, mels, 1]. Output: f32[B, frames * hop_length], about -1..1.
    """

    def __init__(
        self,
        log_mel: Any,
        decoder: Any,
        discriminators: Mapping[str, Any],
        adversarial: Mapping[str, Any] | None = None,
        windows: Sequence[int] = DEFAULTS.windows,
        segment: int = DEFAULTS.segment,
        samples: int = AudioSpec().samples,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.log_mel = log_mel
        self.decoder = decoder
        self.discriminators = dict(discriminators)
        self.windows = tuple(windows)
        frames = samples // log_mel.hop_length
        self.segment = segment
        self.samples = samples
        self.seed = seed
        self.taken = min(segment or frames, frames)
        self.random = keras.random.SeedGenerator(seed)
        length = self.taken * log_mel.hop_length
        self.scales = [
            LogMel(log_mel.sample_rate, window, window // 4, bands_of(window), floor=FLOOR)
            for window in self.windows
            if window <= length
        ]
        self.step = add_step(self)
        if not self.decoder.built:
            self.decoder.build((None, frames, log_mel.mels, 1))
        for discriminator in self.discriminators.values():
            if not discriminator.built:
                discriminator.build((None, length))
        self._start_adversary(adversarial)
        self.built = True

    def call(self, log_mel: Any, training: bool | None = None) -> Any:
        return self.decoder(log_mel)

    def averaged_variables(self) -> list[Any]:
        return list(self.decoder.trainable_variables)

    def compute_losses(self, original: Any, rebuilt: Any, mask: Any) -> dict[str, Any]:
        """The terms without a discriminator, f32 scalars by name."""
        return {"mel": losses.multiscale_mel_loss(original, rebuilt, self.scales, mask)}

    def train_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        mine, theirs = self.generator_variables, self.discriminator_variables
        given, original = self._cut(batch)
        mask = losses.item_weights(batch["audio_mask"])
        with tf.GradientTape() as tape:
            made = self(given, training=True)
        # All that hears the sound starts anew from it: each gradient is needed there.
        leaf = ops.stop_gradient(made)
        with tf.GradientTape() as close:
            close.watch(leaf)
            terms = self.compute_losses(original, leaf, mask)
            total = sum(terms.values())
        pull = close.gradient(total, leaf)
        share = 1.0 / replica_count()  # optimizers add gradients over replicas
        figures: dict[str, Any] = {}
        if self.discriminators:
            begun = ops.convert_to_tensor(self.step) >= self.adversarial["discriminator_from"]
            # Nothing is spent on discriminators that do not learn yet.
            heard = ops.cond(
                begun, lambda: self._heard(original, leaf, mask, share), lambda: self._unheard(leaf)
            )
            lengths = (gradient_length(x, items=True) for x in (pull, heard["push"]))
            weight = self.push_weight("audio", *lengths)
            pull = pull + weight * heard["push"]
            self.discriminator_optimizer.apply(self.held(heard["lessons"]), theirs)
            self.follow({"audio": heard["seen"]})
            figures = {**heard["figures"], "adversarial_weight": self.logged(weight)}
            figures["discriminator_accuracy"] = ops.convert_to_tensor(self.judged["audio"]["accuracy"])
        upstream = share * self.optimizer.scale_loss(ops.ones(())) * pull
        gradients = tape.gradient(made, mine, output_gradients=upstream)
        self.optimizer.apply(whole(gradients, mine), mine)
        if not self.discriminators:
            self.follow({})
        self.step.assign_add(1)
        return {"loss": total, **terms, **figures}

    def test_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        given, original = self._whole(batch)
        terms = self.compute_losses(original, self(given), batch["audio_mask"])
        return {"loss": sum(terms.values()), **terms}

    def get_config(self) -> dict[str, Any]:
        pack = keras.saving.serialize_keras_object
        return {
            "name": self.name,
            "dtype": self.dtype_policy.name,
            "log_mel": pack(self.log_mel),
            "decoder": pack(self.decoder),
            "discriminators": {name: pack(layer) for name, layer in self.discriminators.items()},
            "adversarial": self.adversarial,
            "windows": self.windows,
            "segment": self.segment,
            "samples": self.samples,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        load = keras.saving.deserialize_keras_object
        with dtype_policy(config.get("dtype")):
            inner = {name: load(config[name]) for name in ("log_mel", "decoder")}
            critics = {name: load(layer) for name, layer in config["discriminators"].items()}
            return cls(**{**config, **inner, "discriminators": critics})

    def _heard(self, original: Any, made: Any, mask: Any, share: float) -> dict[str, Any]:
        """The discriminator's push at the waveform, its own gradients, and figures."""
        import tensorflow as tf

        with tf.GradientTape(persistent=True) as tape:
            tape.watch(made)
            verdict = self.verdict("audio", original, made, mask)
            wish = verdict.generator + self.adversarial["feature_matching"] * verdict.matching
        scale = self.discriminator_optimizer.scale_loss(ops.ones(()))
        theirs = self.discriminator_variables
        lessons = tape.gradient(verdict.critic, theirs, output_gradients=share * scale)
        return {
            "push": tape.gradient(wish, made),
            "lessons": whole(lessons, theirs),
            "seen": sight(verdict, mask),
            "figures": {
                "adversarial": verdict.generator,
                "matching": verdict.matching,
                "discriminator": verdict.critic,
            },
        }

    def _unheard(self, made: Any) -> dict[str, Any]:
        """As `_heard`, of nothing."""
        return {
            "push": ops.zeros_like(made),
            "lessons": [ops.zeros_like(v) for v in self.discriminator_variables],
            "seen": {name: ops.zeros(()) for name in ("there", *self.judged["audio"])},
            "figures": {name: ops.zeros(()) for name in ("adversarial", "matching", "discriminator")},
        }

    def _whole(self, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """What the sound is made from, and what it should be; both of whole frames."""
        given = batch["log_mel"] if "log_mel" in batch else self.log_mel(batch["audio"])
        return given, batch["audio"][:, : given.shape[1] * self.log_mel.hop_length]

    def _cut(self, batch: Mapping[str, Any]) -> tuple[Any, Any]:
        """A stretch of `segment` frames, at the same place in all clips of the batch."""
        given, original = self._whole(batch)
        frames, hop = given.shape[1], self.log_mel.hop_length
        if self.taken >= frames:
            return given, original
        first = keras.random.randint((), 0, frames - self.taken + 1, seed=self.random)
        given = ops.slice(given, (0, first, 0, 0), (ops.shape(given)[0], self.taken, *given.shape[2:]))
        original = ops.slice(original, (0, first * hop), (ops.shape(original)[0], self.taken * hop))
        return given, original


def bands_of(window: int) -> int:
    """Mel bands of the loss's spectrogram with so long a window: as many as its bins can fill."""
    return max(window // 6, 8)
