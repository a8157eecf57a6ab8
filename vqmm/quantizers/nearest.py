"""Nearest-neighbour vector quantization with one joint table split into ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from vqmm.config import Quantizer as Spec
from vqmm.quantizers.base import Assignment, Cluster, Quantized, Quantizer, masked_mse, row_weights
from vqmm.quantizers.distinct import distinct_groups
from vqmm.quantizers.revival import draw_places
from vqmm.quantizers.search import nearest_rows
from vqmm.replicas import sum_over_replicas

DEFAULTS = Spec()

DISTANCES = ("cosine", "euclidean")
UPDATES = ("ema", "gradient")


@keras.saving.register_keras_serializable("vqmm")
class VectorQuantizer(Quantizer):
    """The shared quantization layer: one codebook, searched range by range.

    The table is `[shared | image | audio | ...]` in the order of `ranges`. A call
    searches one range only; codes are rows of the whole table, so that codes of
    all ranges form one vocabulary. The call changes no state: the model collects
    every modality's `Assignment` and calls `update` once a step, which makes the
    moving average independent of the order of modalities and exact over replicas.

    Everything is computed in float32, whatever the dtype policy.

    Args:
        ranges: number of codes by range name, at least one.
        dim: size of a code vector.
        distance: `"cosine"` (latents and codes are scaled to unit length) or
            `"euclidean"`.
        update: `"ema"` (moving averages, van den Oord et al. 2017, appendix A.1) or
            `"gradient"` (codebook loss, same paper, equation 3), for all ranges or
            by range name.
        commitment: weight of the commitment loss (same equation).
        decay: share of the old moving average kept at each step.
        epsilon: Laplace smoothing of the counts where sums are divided by them.
        revive_below: a code whose average count falls below this share of an even
            spread (tokens / codes) is given a new place; 0 never revives.
        revive_after: steps that a new or revived code is left alone.
        seed: of the initial codes and of revival.
        estimator: `"straight_through"` or `"rotation"`.

    Raises:
        ValueError: for an argument outside what is listed above, and at a call for
            an unknown range or a wrong last axis.
    """

    def __init__(
        self,
        ranges: Mapping[str, int],
        dim: int,
        distance: str = DEFAULTS.distance,
        update: str | Mapping[str, str] = DEFAULTS.update,
        commitment: float = DEFAULTS.commitment,
        decay: float = DEFAULTS.decay,
        epsilon: float = 1e-5,
        revive_below: float = DEFAULTS.revive_below,
        revive_after: int = 100,
        seed: int = 0,
        estimator: str = DEFAULTS.estimator,
        **kwargs: Any,
    ):
        super().__init__(estimator, **kwargs)
        sizes = {name: int(size) for name, size in ranges.items()}
        if not sizes or min(sizes.values()) < 1:
            raise ValueError(f"ranges={dict(ranges)!r}: give each range at least one code")
        if distance not in DISTANCES:
            raise ValueError(f"distance={distance!r}; legal: {', '.join(DISTANCES)}")
        updates = {name: update for name in sizes} if isinstance(update, str) else dict(update)
        if set(updates) != set(sizes) or not set(updates.values()) <= set(UPDATES):
            raise ValueError(
                f"update={update!r}; give one of {', '.join(UPDATES)}, or one for each of {', '.join(sizes)}"
            )
        if dim < 2 and (distance == "cosine" or estimator == "rotation"):
            raise ValueError(
                f"dim={dim} with distance={distance!r}, estimator={estimator!r}: in one dimension there are "
                "two directions only; take dim 2 or more, or 'euclidean' and 'straight_through'"
            )
        if not 0.0 < decay < 1.0:
            raise ValueError(f"decay={decay!r}; it lies between 0 and 1, both excluded")
        self.range_sizes = sizes
        self.dim = int(dim)
        self.distance = distance
        self._rules = updates
        self.commitment = float(commitment)
        self.decay = float(decay)
        self.epsilon = float(epsilon)
        self.revive_below = float(revive_below)
        self.revive_after = int(revive_after)
        self.seed = int(seed)
        self.random = keras.random.SeedGenerator(self.seed)
        self.num_codes = sum(sizes.values())
        ends = np.cumsum(list(sizes.values())).tolist()
        self.ranges = {name: (end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
        self.build()

    def build(self, input_shape: Any = None) -> None:
        if getattr(self, "built", False):  # made in the constructor: nothing depends on inputs
            return
        shared: dict[str, Any] = {"aggregation": "only_first_replica", "trainable": False, "dtype": "float32"}
        self.codebook = self.add_weight(
            name="codebook",
            shape=(self.num_codes, self.dim),
            initializer=keras.initializers.RandomNormal(stddev=self.dim**-0.5, seed=self.seed),
            dtype="float32",
            trainable="gradient" in self._rules.values(),
            aggregation="only_first_replica",
        )
        self.counts = self.add_weight(name="counts", shape=(self.num_codes,), initializer="ones", **shared)
        self.sums = self.add_weight(
            name="sums", shape=(self.num_codes, self.dim), initializer="zeros", **shared
        )
        self.ages = self.add_weight(name="ages", shape=(self.num_codes,), initializer="zeros", **shared)
        if self.distance == "cosine":
            self.codebook.assign(ops.normalize(ops.convert_to_tensor(self.codebook), axis=-1))
        self.sums.assign(ops.convert_to_tensor(self.codebook))
        self.built = True

    @property
    def code_settings(self) -> dict[str, Any]:
        return {**super().code_settings, "ranges": self.ranges}

    @property
    def code_weights(self) -> list[Any]:
        return [self.codebook]

    @property
    def update_rules(self) -> dict[str, str]:
        return dict(self._rules)

    def unit(self, vectors: Any) -> Any:
        """Scales vectors to unit length where the distance is cosine; f32."""
        vectors = ops.cast(vectors, "float32")
        return ops.normalize(vectors, axis=-1) if self.distance == "cosine" else vectors

    def table(self, range: str | None = None) -> Any:
        """Code vectors of a range, f32[codes, dim], as the search sees them."""
        start, stop = self.range_of(range)
        return self.unit(self.codebook[start:stop])

    def receive(self, latents: Any, range: str | None = None) -> Any:
        return self.unit(super().receive(latents))

    def embed(self, latents: Any, range: str | None = None) -> Any:
        return self.unit(latents)

    def choose(self, latents: Any, range: str | None, present: Any) -> Quantized:
        start, _ = self.range_of(range)
        table = self.table(range)
        local = nearest_rows(ops.stop_gradient(latents), table, self.distance)
        chosen = ops.take(table, local, axis=0)
        fixed = ops.stop_gradient(chosen)
        learns = range is None or self._rules[range] == "gradient"
        codebook_loss = (
            masked_mse(chosen, ops.stop_gradient(latents), present)
            if learns and self.codebook.trainable
            else ops.zeros(())
        )
        return Quantized(
            fixed,
            start + local,
            self.commitment * masked_mse(latents, fixed, present),
            codebook_loss,
            ops.zeros(()),
        )

    def codes_to_values(self, codes: Any, range: str | None = None) -> Any:
        return self.unit(ops.take(self.codebook, codes, axis=0))

    def update(self, assignments: Sequence[Assignment]) -> None:
        """Moves the codes of the `"ema"` ranges, once a step, from all modalities jointly.

        Counts and sums are added over modalities and replicas before the one
        moving average; codes that are hardly used are then placed anew on random
        latents, each modality having the same chance. A range that has no token in the
        step, on any replica, stays as it is: averages of nothing would fade to zero.

        Args:
            assignments: one for each modality and range; order does not matter.
        """
        counts, sums = ops.zeros((self.num_codes,)), ops.zeros((self.num_codes, self.dim))
        for latents, codes, mask, _ in assignments:
            tokens = ops.reshape(self.unit(latents), (-1, self.dim))
            weights = ops.reshape(_token_weights(codes, mask), (-1,))
            rows = ops.reshape(ops.maximum(codes, 0), (-1,))
            counts = counts + ops.segment_sum(weights, rows, self.num_codes)
            sums = sums + ops.segment_sum(tokens * weights[:, None], rows, self.num_codes)
        counts, sums = sum_over_replicas([counts, sums])
        counted = self.started * ops.cast(self._even_share(counts) > 0.0, "float32")
        moved = ops.cast(ops.convert_to_tensor(self._averaged_rows()), "float32") * counted
        new_counts = self.decay * self.counts + (1.0 - self.decay) * counts
        new_sums = self.decay * self.sums + (1.0 - self.decay) * sums
        codes = self.unit(self._divide(new_sums, new_counts))
        # A code that nothing has been counted for has no average: it stays where it is.
        codes = ops.where(new_counts[:, None] > 0.0, codes, ops.convert_to_tensor(self.codebook))
        dead = ops.zeros_like(counts)
        if self.revive_below:
            (candidates,) = sum_over_replicas([self._candidates(assignments)])
            dead = self._dead(new_counts) * moved
            new_counts = new_counts + dead * (self._even_share(new_counts) - new_counts)
            new_sums = new_sums + dead[:, None] * (candidates * new_counts[:, None] - new_sums)
            codes = codes + dead[:, None] * (candidates - codes)
        keep = 1.0 - moved
        # Codes that gradients move are counted as well: `live` asks for it.
        self.counts.assign(self.counts + counted * (new_counts - self.counts))
        self.sums.assign(keep[:, None] * self.sums + moved[:, None] * new_sums)
        self.ages.assign((self.ages + moved) * (1.0 - dead))
        self.codebook.assign(keep[:, None] * self.codebook + moved[:, None] * codes)

    def place(self, range: str, codes: Any) -> None:
        """Puts the codes of a range where they are told, as after k-means.

        Of codes on the same place the first alone counts as used. The others are never the nearest:
        they have a count of 0, so that they are given a new place or are left out as idle codes are.

        Args:
            range: name of the range.
            codes: f32[at most the size of the range, dim]; where there are fewer, the remaining codes
                repeat them.
        """
        start, stop = self.range_of(range)
        table = ops.convert_to_numpy(self.codebook)
        places = np.asarray(self.unit(np.asarray(codes, "float32")))
        table[start:stop] = places[np.arange(stop - start) % len(places)]
        _, first = np.unique(distinct_groups(table[start:stop], 0), return_index=True)
        counts = ops.convert_to_numpy(self.counts)
        counts[start:stop] = 0.0
        counts[start + first] = 1.0
        ages = ops.convert_to_numpy(self.ages)
        ages[start:stop] = 0.0
        sums = ops.convert_to_numpy(self.sums)
        sums[start:stop] = table[start:stop] * counts[start:stop, None]
        self.codebook.assign(table)
        self.counts.assign(counts)
        self.sums.assign(sums)
        self.ages.assign(ages)

    def live(self, range: str, share: float) -> np.ndarray:
        """Which codes of a range were chosen lately: bool[codes].

        Codes on the same place count once, as the one of them that was chosen most.

        Args:
            range: its name.
            share: least moving count, as a share of an even spread over the range.
        """
        start, stop = self.range_of(range)
        counts = ops.convert_to_numpy(self.counts)[start:stop]
        groups = distinct_groups(np.asarray(self.table(range)))
        order = np.lexsort((np.arange(len(counts)), -counts, groups))  # the most chosen of a group first
        alone = np.zeros(len(counts), bool)
        alone[order[np.unique(groups[order], return_index=True)[1]]] = True
        return alone & (counts >= share * counts.mean())

    def only(self, range: str, kept: np.ndarray) -> VectorQuantizer:
        """A copy without some codes of a range; the codes after them move up.

        Args:
            range: its name.
            kept: bool[codes], at least one True.
        """
        start, stop = self.range_of(range)
        rows = np.ones(self.num_codes, bool)
        rows[start:stop] = kept
        config = self.get_config()
        config["ranges"] = {**self.range_sizes, range: int(np.sum(kept))}
        copy = type(self).from_config(config)
        for old, new in zip(self.weights, copy.weights, strict=True):
            new.assign(ops.convert_to_numpy(old)[rows] if old.shape[:1] == (self.num_codes,) else old)
        return copy

    def fit(self, latents: Any, range: str | None, cluster: Cluster) -> None:
        tokens = np.asarray(self.receive(np.asarray(latents, "float32")))
        for name in self.ranges if range is None else (range,):
            start, stop = self.ranges[name]
            self.place(name, cluster(tokens, stop - start))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "ranges": self.range_sizes,
            "dim": self.dim,
            "distance": self.distance,
            "update": self._rules,
            "commitment": self.commitment,
            "decay": self.decay,
            "epsilon": self.epsilon,
            "revive_below": self.revive_below,
            "revive_after": self.revive_after,
            "seed": self.seed,
        }

    def _averaged_rows(self) -> np.ndarray:
        rules = [np.full(size, self._rules[name] == "ema") for name, size in self.range_sizes.items()]
        return np.concatenate(rules)

    def _divide(self, sums: Any, counts: Any) -> Any:
        parts = []
        for start, stop in self.ranges.values():
            n = counts[start:stop]
            total = ops.sum(n)
            smooth = (n + self.epsilon) / (total + (stop - start) * self.epsilon) * total
            parts.append(sums[start:stop] / ops.maximum(smooth, 1e-12)[:, None])
        return ops.concatenate(parts)

    def _even_share(self, counts: Any) -> Any:
        parts = [
            ops.broadcast_to(ops.mean(counts[start:stop]), (stop - start,))
            for start, stop in self.ranges.values()
        ]
        return ops.concatenate(parts)

    def _dead(self, counts: Any) -> Any:
        idle = counts < self.revive_below * self._even_share(counts)
        return ops.cast(ops.logical_and(idle, self.ages >= self.revive_after), "float32")

    def _candidates(self, assignments: Sequence[Assignment]) -> Any:
        """A random latent for every code, f32[codes, dim]: new places for dead ones."""
        draws = keras.random.uniform((2, self.num_codes), seed=self.random)
        tokens = [ops.reshape(self.unit(a.latents), (-1, self.dim)) for a in assignments]
        found = []
        for start, stop in self.ranges.values():
            weights = [
                ops.cast(ops.logical_and(a.codes >= start, a.codes < stop), "float32")
                * _token_weights(a.codes, a.mask)
                for a in assignments
            ]
            present = [ops.reshape(w, (-1,)) for w in weights]
            found.append(draw_places(draws[:, start:stop], tokens, present))
        return ops.concatenate(found)


def _token_weights(codes: Any, mask: Any) -> Any:
    ones = ops.cast(codes >= 0, "float32")  # -1 where a residual level was dropped
    return ones if mask is None else ones * row_weights(mask, ones)
