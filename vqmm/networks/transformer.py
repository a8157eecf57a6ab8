"""A transformer block that can run over a whole sequence or token by token."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from vqmm.networks.replica_random import Dropout


class Cache(NamedTuple):
    """What a block has seen of a sequence so far.

    Attributes:
        keys, values: f32[B, T, heads, dim / heads]; zeros at the places to come.
    """

    keys: Any
    values: Any


@keras.saving.register_keras_serializable("vqmm")
class TransformerBlock(keras.layers.Layer):
    """Attention, then two dense layers, each added to its normalised input.

    Normalisation comes first (Xiong et al. 2020), so that no long warm-up is needed.

    Args:
        heads: of the attention; they must divide the last axis of the input.
        widening: of the hidden dense layer.
        dropout: of what is added.
        seed: of weights and dropout.

    Inputs: x f32[B, T, dim]; visible bool[B or 1, T, T], True where a token (row) may look at another.
    """

    def __init__(self, heads: int, widening: int = 4, dropout: float = 0.0, seed: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        self.heads = heads
        self.widening = widening
        self.dropout = dropout
        self.seed = seed

    def build(self, shape: Any) -> None:
        dim = shape[-1]
        if dim % self.heads:
            raise ValueError(f"dim={dim} does not divide among heads={self.heads}")
        glorot = [keras.initializers.GlorotUniform(self.seed + place) for place in range(3)]
        self.before_attention = keras.layers.LayerNormalization(epsilon=1e-5)
        self.attention = keras.layers.MultiHeadAttention(
            self.heads, dim // self.heads, kernel_initializer=glorot[0]
        )
        self.before_dense = keras.layers.LayerNormalization(epsilon=1e-5)
        self.widen = keras.layers.Dense(self.widening * dim, "gelu", kernel_initializer=glorot[1])
        self.narrow = keras.layers.Dense(dim, kernel_initializer=glorot[2])
        self.drop = [Dropout(self.dropout, seed=self.seed + place) for place in range(2)]
        self.before_attention.build(shape)
        self.attention.build(shape, shape)
        self.before_dense.build(shape)
        self.widen.build(shape)
        self.narrow.build((*shape[:-1], self.widening * dim))

    def call(self, x: Any, visible: Any = None, training: bool | None = None) -> Any:
        seen = self.before_attention(x)
        x = x + self.drop[0](self.attention(seen, seen, attention_mask=visible), training=training)
        return x + self.drop[1](self._dense(x), training=training)

    def empty_cache(self, batch: Any, length: int, dim: int) -> Cache:
        """A cache for sequences of `length` tokens of which none has been seen."""
        none = ops.zeros((batch, length, self.heads, dim // self.heads))
        return Cache(none, none)

    def step(self, x: Any, cache: Cache, place: Any, mask: Any) -> tuple[Any, Cache]:
        """One token of the sequence, as `call` with a causal mask would give it.

        Args:
            x: f32[B, 1, dim], the token.
            cache: of the tokens before.
            place: i32 scalar, where in the sequence it stands.
            mask: bool[B or 1, 1, T], which tokens it may look at.

        Returns:
            f32[B, 1, dim], and the cache with this token in it.
        """
        seen = self.before_attention(x)
        part = self.attention
        start = (0, place, 0, 0)
        cache = Cache(
            ops.slice_update(cache.keys, start, part.key_dense(seen)),
            ops.slice_update(cache.values, start, part.value_dense(seen)),
        )
        found = ops.dot_product_attention(
            part.query_dense(seen), cache.keys, cache.values, mask=mask[:, None]
        )
        x = x + part.output_dense(found)
        return x + self._dense(x), cache

    def get_config(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("heads", "widening", "dropout", "seed")}
        return {**super().get_config(), **own}

    def _dense(self, x: Any) -> Any:
        return self.narrow(self.widen(self.before_dense(x)))
