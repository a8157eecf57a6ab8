"""Patch discriminators for pictures and spectrograms, at one scale or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from vqmm.config import Discriminator as Spec
from vqmm.networks.blocks import batch_norm

DEFAULTS = Spec()

NORMS = ("group", "batch")
GROUPS = 8
SLOPE = 0.2


class Judgement(NamedTuple):
    """What a discriminator says of a batch.

    Attributes:
        logits: one f32[B, rows, columns, 1] for each scale; above 0 it takes the patch for real.
        features: activations f32[B, H, W, C] of the layers before them, over all scales.
    """

    logits: list[Any]
    features: list[Any]


@keras.saving.register_keras_serializable("vqmm")
class Discriminator(keras.layers.Layer):
    """PatchGAN (Isola et al. 2017, section 3.2): every logit sees a patch of the item.

    With more than one scale the item is also judged after its grid has been halved by
    averages, once for each further scale (Wang et al. 2018; for sound as in MelGAN,
    Kumar et al. 2019, but on the log-mel spectrogram that is rebuilt).

    Args:
        filters: channels of each convolution before the one that gives the logits; all but
            the last halve the grid.
        scales: number of sizes at which an item is judged.
        norm: `"group"` (multiples of 8 channels) does not depend on the rest of the batch;
            `"batch"` is that of the original, whose real and fake batches go apart, each over all replicas.
        seed: of the initial weights.

    Input: f32[B, H, W, C]. Output: `Judgement`.

    Raises:
        ValueError: for filters that the normalisation cannot group, or an item too
            small for its scales.
    """

    def __init__(
        self,
        filters: Sequence[int] = DEFAULTS.filters,
        scales: int = 1,
        norm: str = DEFAULTS.norm,
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.filters = tuple(filters)
        self.scales = scales
        self.norm = norm
        self.seed = seed
        if norm not in NORMS:
            raise ValueError(f"norm={norm!r}; legal: {', '.join(NORMS)}")
        if len(self.filters) < 2 or (norm == "group" and any(count % GROUPS for count in self.filters[1:])):
            raise ValueError(
                f"filters={self.filters}: give two or more, multiples of {GROUPS} after the first"
            )
        if scales < 1:
            raise ValueError(f"scales={scales}: at least 1")

    def build(self, input_shape: Sequence[Any]) -> None:
        height, width, channels = input_shape[1:]
        smallest = min(height, width) // 2 ** (self.scales - 1)
        # Two cells are lost at the end: kernels of 4 on a border of 1.
        needed = 3 * 2 ** (len(self.filters) - 1)
        if smallest < needed:
            raise ValueError(
                f"items of {height} x {width} at {self.scales} scales have {smallest} cells at the smallest; "
                f"{len(self.filters)} filters need {needed}: take fewer filters or scales"
            )
        self.trunks = [self._trunk((None, None, channels), scale) for scale in range(self.scales)]
        self.built = True

    def call(self, items: Any, training: bool | None = None) -> Judgement:
        logits, features = [], []
        for trunk in self.trunks:
            *inner, last = trunk(items, training=training)
            features += inner
            logits.append(ops.cast(last, "float32"))
            items = ops.average_pool(items, 2, 2, padding="same")
        return Judgement(logits, features)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "scales": self.scales,
            "norm": self.norm,
            "seed": self.seed,
        }

    def _trunk(self, shape: Sequence[Any], scale: int) -> keras.Model:
        def conv(x: Any, count: int, stride: int, place: int, bias: bool) -> Any:
            start = keras.initializers.GlorotUniform(seed=101 * self.seed + 17 * scale + place)
            x = keras.layers.ZeroPadding2D(1)(x)
            return keras.layers.Conv2D(count, 4, stride, use_bias=bias, kernel_initializer=start)(x)

        item = keras.Input(shape)
        x, found = item, []
        for place, count in enumerate(self.filters):
            # The first layer sees contrast and colour as they are.
            x = conv(x, count, 1 if place == len(self.filters) - 1 else 2, place, bias=not place)
            if place and self.norm == "group":
                x = keras.layers.GroupNormalization(GROUPS, epsilon=1e-5)(x)
            elif place:
                x = batch_norm(epsilon=1e-5, momentum=0.9)(x)
            x = keras.layers.LeakyReLU(SLOPE)(x)
            found.append(x)
        logits = conv(x, 1, 1, len(self.filters), bias=True)
        return keras.Model(item, [*found, logits], name=f"scale_{scale}")
