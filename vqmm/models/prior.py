"""A transformer over an item's codes, that learns which of them go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.config import Prior as Spec
from vqmm.models.dtype_policy import dtype_policy
from vqmm.models.steps import add_step
from vqmm.models.token_layout import HIDDEN, TokenLayout
from vqmm.networks.replica_random import Dropout
from vqmm.networks.transformer import Cache, TransformerBlock
from vqmm.replicas import replica_count, sum_over_replicas

DEFAULTS = Spec()

KINDS = ("masked", "autoregressive")


@keras.saving.register_keras_serializable("vqmm")
class Prior(keras.Model):
    """Says what hidden tokens may be, given those that are known.

    `masked`: every token sees every other, hidden ones are guessed all at once (MaskGIT, Chang
    et al. 2022); `autoregressive`: a token sees those before it. Sections that an item does
    not have are seen by none. `vqmm.models.decoding.Sampler` draws from it.

    Args:
        layout: as `TokenLayout.to_config` gives it.
        dim: of the tokens' vectors.
        depth: blocks.
        heads: of each block's attention.
        dropout: in the blocks and of the vectors that come in.
        kind: `"masked"` or `"autoregressive"`.
        labels: names of the labels that items may be asked for by.
        label_smoothing: share of the target that is spread over all choices.
        fingerprint: of the model that made the codes, see `vqmm.tokens.fingerprint`.
        seed: of weights and dropout.

    A batch is a dict with `tokens` i32[B, T], rows of the joint codebook (any number where absent);
    `hidden` bool[B, T], what is to be guessed; `present` bool[B, sections]; `alone` bool[B, shared
    codes], what is to be guessed of these without the rest; `label` i32[B], -1 for none.

    Raises:
        ValueError: an unknown kind.
    """

    def __init__(
        self,
        layout: Sequence[Sequence[Any]],
        dim: int = DEFAULTS.dim,
        depth: int = DEFAULTS.depth,
        heads: int = DEFAULTS.heads,
        dropout: float = DEFAULTS.dropout,
        kind: str = DEFAULTS.kind,
        labels: Sequence[str] = (),
        label_smoothing: float = DEFAULTS.label_smoothing,
        fingerprint: str = "",
        seed: int = 0,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        if kind not in KINDS:
            raise ValueError(f"kind={kind!r}; legal: {', '.join(KINDS)}")
        self.tokens = TokenLayout.from_config(layout)
        self.dim = dim
        self.depth = depth
        self.heads = heads
        self.dropout = dropout
        self.kind = kind
        self.labels = tuple(labels)
        self.label_smoothing = label_smoothing
        self.fingerprint = fingerprint
        self.seed = seed
        normal = [keras.initializers.RandomNormal(stddev=0.02, seed=seed + place) for place in range(3)]
        self.code_vectors = keras.layers.Embedding(self.tokens.codes + 1, dim, normal[0], name="codes")
        # A place is told by itself, its row and its column, so that neighbours are alike from the start.
        self.place_table, rows = _lines(self.tokens)
        self.place_vectors = self.add_weight(name="places", shape=(rows, dim), initializer=normal[1])
        self.label_vectors = keras.layers.Embedding(len(self.labels) + 1, dim, normal[2], name="labels")
        self.drop = Dropout(dropout, seed=seed)
        self.blocks = [
            TransformerBlock(heads, dropout=dropout, seed=seed + 10 * (place + 1), name=f"block_{place}")
            for place in range(depth)
        ]
        self.last = keras.layers.LayerNormalization(epsilon=1e-5, name="last")
        self.choosers = [
            keras.layers.Dense(section.choices, name=f"choose_{section.name}")
            for section in self.tokens.sections
        ]
        self.step = add_step(self)
        self.code_vectors.build((None, self.tokens.length))
        self.label_vectors.build((None,))
        for layer in (*self.blocks, self.last, *self.choosers):
            layer.build((None, self.tokens.length, dim))
        self.built = True

    @property
    def classes(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    @property
    def causal(self) -> bool:
        """Whether a token sees those before it alone."""
        return self.kind == "autoregressive"

    def call(
        self,
        tokens: Any,
        label: Any = None,
        present: Any = None,
        sections: Sequence[str] | None = None,
        training: bool | None = None,
    ) -> dict[str, Any]:
        """Scores of what each token may be.

        Args:
            tokens: i32[B, T], rows of the joint codebook, -1 where hidden.
            label: i32[B], -1 for none; None: -1 for all.
            present: bool[B, sections of `tokens`]; None: all.
            sections: which ones `tokens` consists of; None: all. The others are as if absent.

        Returns:
            By section f32[B, length, choices]: logits over the codes that the token may be.
        """
        x = self.drop(self._embedded(tokens, label, sections), training=training)
        visible = self.visible(present, sections)
        for block in self.blocks:
            x = block(x, visible, training=training)
        return self.logits(x, sections)

    def logits(self, x: Any, sections: Sequence[str] | None = None) -> dict[str, Any]:
        """From the last block's vectors f32[B, T, dim] to logits by section."""
        x = self.last(x)
        choosers = dict(zip(self.tokens.names, self.choosers, strict=True))
        return {
            name: ops.cast(choosers[name](x[:, part]), "float32")
            for name, part in self.tokens.slices(sections).items()
        }

    def visible(self, present: Any = None, sections: Sequence[str] | None = None) -> Any:
        """Which token (row) sees which, bool[B or 1, T, T]; None where each sees all."""
        parts = self.tokens.slices(sections)
        length = sum(part.stop - part.start for part in parts.values())
        mask = None
        if present is not None:
            of_token = np.repeat(np.arange(len(parts)), [part.stop - part.start for part in parts.values()])
            mask = ops.take(ops.cast(present, "bool"), of_token, axis=1)[:, None]
        if self.causal:
            before = np.tril(np.ones((1, length, length), bool))
            return ops.convert_to_tensor(before) if mask is None else ops.logical_and(before, mask)
        return mask

    def held(self, sections: Sequence[str] | None = None) -> np.ndarray:
        """Which token each place of the autoregressive prior reads, i32[T]; -1 at the very start.

        The one before it; at the start of a modality's codes the last shared one, since what comes
        between may be absent.
        """
        parts = self.tokens.slices(sections)
        before = np.arange(-1, sum(part.stop - part.start for part in parts.values()) - 1)
        for name, part in parts.items():
            if name != "shared":
                before[part.start] = parts["shared"].stop - 1
        return before.astype("int32")

    def first_vectors(self, tokens: Any, places: Any, label: Any) -> Any:
        """What the first block reads: tokens i32[B, N] (-1 hidden) that stand at `places` i32[N]."""
        x = self.code_vectors(ops.where(tokens < 0, self.tokens.codes, tokens))
        lines = ops.take(self.place_table, places, axis=0)
        x = x + ops.sum(ops.take(ops.convert_to_tensor(self.place_vectors), lines, axis=0), axis=-2)
        if self.classes:  # training gives each item a label, if only "none"
            which = ops.full((1,), -1, "int32") if label is None else label
            x = x + self.label_vectors(ops.where(which < 0, self.classes, which))[:, None]
        return x

    def empty_caches(self, batch: Any, length: int) -> list[Cache]:
        """For `one`, before the first token."""
        return [block.empty_cache(batch, length, self.dim) for block in self.blocks]

    def one(self, vectors: Any, caches: Sequence[Cache], place: Any, mask: Any) -> tuple[Any, list[Cache]]:
        """Runs the blocks on one token, f32[B, 1, dim]; see `TransformerBlock.step`."""
        after = []
        for block, cache in zip(self.blocks, caches, strict=True):
            vectors, cache = block.step(vectors, cache, place, mask)
            after.append(cache)
        return vectors, after

    def compute_losses(self, batch: Mapping[str, Any], training: bool) -> dict[str, Any]:
        """Mean cross-entropy of the hidden tokens by section, in nats, and the mean of these.

        Each section counts the same: a few shared codes decide what all the others are of.
        """
        tokens, hidden = batch["tokens"], batch["hidden"]
        present = batch["present"]
        asked = ops.take(present, self._section_of(), axis=1)
        if self.causal:  # all tokens are guessed; only items that lost their shared codes go without
            shared = np.arange(self.tokens.length) < self.tokens.sections[0].length
            lost = ops.all(ops.logical_or(hidden, ~shared), axis=1, keepdims=True)
            blind = ops.logical_and(lost, shared)
            known = ops.where(blind, HIDDEN, tokens)
            asked = ops.logical_and(asked, ops.logical_not(blind))
        else:
            known = ops.where(hidden, HIDDEN, tokens)
            asked = ops.logical_and(asked, hidden)
        scores = self(known, batch.get("label"), present=present, training=training)
        targets = tokens - self.tokens.offsets()
        smoothing = self.label_smoothing if training else 0.0
        figures, loss = {}, ops.zeros(())
        for name, part in self.tokens.slices().items():
            here = asked[:, part]
            nats = _cross_entropy(scores[name], targets[:, part], here, smoothing)
            if name == "shared" and not self.causal:
                # The first codes that are drawn have none but each other to go by; eight cost little.
                alone = ops.where(batch["alone"], HIDDEN, tokens[:, part])
                guess = self(alone, batch.get("label"), sections=("shared",), training=training)["shared"]
                more = _cross_entropy(guess, targets[:, part], batch["alone"], smoothing)
                nats = ops.concatenate([nats, more], axis=1)
                here = ops.concatenate([here, batch["alone"]], axis=1)
            # A mean over the tokens of all replicas, so that a step does not depend on how a batch is split.
            (count,) = sum_over_replicas([ops.sum(ops.cast(here, "float32"))])
            mean = ops.sum(nats) * replica_count() / ops.maximum(count, 1.0)
            figures[f"nats_{name}"] = mean
            loss = loss + mean / len(self.tokens.sections)
        return {"loss": loss, **figures}

    def train_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            figures = self.compute_losses(batch, training=True)
            # The optimizer adds gradients over replicas; the loss is a mean over them.
            scaled = self.optimizer.scale_loss(figures["loss"] / replica_count())
        variables = self.trainable_variables
        gradients = tape.gradient(scaled, variables)
        filled = [ops.zeros_like(v) if g is None else g for g, v in zip(gradients, variables, strict=True)]
        self.optimizer.apply(filled, variables)
        self.step.assign_add(1)
        return figures

    def test_step(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        return self.compute_losses(batch, training=False)

    def get_config(self) -> dict[str, Any]:
        names = ("dim", "depth", "heads", "dropout", "kind", "label_smoothing", "fingerprint")
        own = {name: getattr(self, name) for name in (*names, "seed")}
        own = {"name": self.name, "dtype": self.dtype_policy.name, **own}
        return {**own, "layout": self.tokens.to_config(), "labels": list(self.labels)}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        with dtype_policy(config.get("dtype")):
            return cls(**config)

    def _embedded(self, tokens: Any, label: Any, sections: Sequence[str] | None) -> Any:
        if self.causal:
            start = ops.full_like(tokens[:, :1], HIDDEN)
            tokens = ops.take(ops.concatenate([start, tokens], axis=1), self.held(sections) + 1, axis=1)
        return self.first_vectors(tokens, self.tokens.places(sections), label)

    def _section_of(self) -> np.ndarray:
        return np.repeat(
            np.arange(len(self.tokens.sections)), [section.length for section in self.tokens.sections]
        )


def _lines(layout: TokenLayout) -> tuple[np.ndarray, int]:
    """Rows of one table, i32[T, 3], for each token's place, row and column, and how many there are."""
    table, used = [], layout.length
    for section, part in zip(layout.sections, layout.slices().values(), strict=True):
        cells = section.cells
        counts = cells.max(axis=0) + 1
        place = np.arange(part.start, part.stop)[:, None]
        table.append(np.concatenate([place, used + cells + [0, counts[0]]], axis=1))
        used += int(counts.sum())
    return np.concatenate(table).astype("int32"), used


def _cross_entropy(logits: Any, wanted: Any, asked: Any, smoothing: float) -> Any:
    """Nats f32[B, T] of codes i32[B, T] under logits f32[B, T, K]; 0 where not asked."""
    logs = ops.log_softmax(logits, axis=-1)
    nats = -ops.take_along_axis(logs, ops.where(asked, wanted, 0)[..., None], axis=-1)[..., 0]
    if smoothing:
        nats = (1.0 - smoothing) * nats - smoothing * ops.mean(logs, axis=-1)
    return ops.where(asked, nats, 0.0)
