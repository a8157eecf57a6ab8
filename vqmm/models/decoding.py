"""Draws items from a prior: in parallel, or one token after the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops, tree

from vqmm.config import Sampling
from vqmm.errors import UserError
from vqmm.models.autoencoder import MODALITIES
from vqmm.models.prior import Prior
from vqmm.models.sampling import drawn, guided, gumbel, least_certain, still_hidden
from vqmm.models.token_layout import HIDDEN, TokenLayout
from vqmm.networks.transformer import Cache
from vqmm.sampling_limits import check_limits, check_top_k

DEFAULTS: Any = Sampling()


class Settings(NamedTuple):
    """How to sample.

    Attributes:
        steps: of parallel decoding, shared codes included; both these and the rest, where they are drawn,
            take one at least, so that 1 is 2 for items from nothing.
        temperature: of the tokens' distributions, one for all or by modality (1 where it is not named), up
            to 100. 0 is greedy: the likeliest code at each place, the most certain places first; nothing
            is random then, and every seed gives the same.
        randomness: Gumbel noise on which tokens are kept first, relative; it falls to 0 with the steps.
            Not used where the temperature is 0.
        guidance: weight of classifier-free guidance, one for all or by modality, up to 100; 0 is none.
        top_k: likeliest codes that may be drawn, at most those that the largest section has; 0: all.
        top_p: their least total probability at the temperature; 1: all.
        retries: how often `Generator` draws an item anew that does not give its shared codes again.
    """

    steps: int = DEFAULTS.steps
    temperature: float | Mapping[str, float] = DEFAULTS.temperature
    randomness: float = DEFAULTS.randomness
    guidance: float | Mapping[str, float] = DEFAULTS.guidance
    top_k: int = DEFAULTS.top_k
    top_p: float = DEFAULTS.top_p
    retries: int = DEFAULTS.retries

    def weight(self, section: str) -> float:
        """Of guidance in a section; that of the shared codes, which a label guides, is the largest."""
        return _in_section(self.guidance, section, 0.0)

    def heat(self, section: str) -> float:
        """Temperature in a section; that of the shared codes is the highest."""
        return _in_section(self.temperature, section, 1.0)

    def check(self, layout: TokenLayout) -> None:
        """Refuses what no prior, or none of this layout, can sample by.

        Raises:
            UserError: a value outside its limits, or a modality that there is none of.
        """
        check_limits(self._asdict())
        for name in ("temperature", "guidance"):
            given = getattr(self, name)
            unknown = [key for key in given if key not in MODALITIES] if isinstance(given, Mapping) else []
            if unknown:
                raise UserError(f"{name} of {unknown[0]!r}: give it of {' or '.join(MODALITIES)}")
        check_top_k(self.top_k, {section.name: section.choices for section in layout.sections})


class Sampler:
    """Fills hidden tokens.

    The masked prior fills the shared codes first, in random order, from themselves and what is kept
    of the rest, and then the private ones of all modalities at once, each section by its own
    cosine schedule; guidance is by the shared codes and the label. The autoregressive one fills
    from left to right; kept tokens count when their turn comes.

    Args:
        prior: its kind decides.
        settings: how to sample.

    Raises:
        UserError: settings outside their limits, see `Settings.check`.
    """

    def __init__(self, prior: Prior, settings: Settings | None = None):
        self.prior = prior
        self.settings = settings or Settings()
        self.settings.check(prior.tokens)
        self._noise = keras.random.SeedGenerator(0)
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def fill(
        self,
        tokens: np.ndarray,
        sections: Sequence[str],
        seed: int = 0,
        label: np.ndarray | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> np.ndarray:
        """Draws what is hidden.

        Args:
            tokens: i32[B, T] of `sections`, rows of the joint codebook, -1 where to be drawn.
            sections: names, in the order of the layout; the others are absent.
            seed: the same one gives the same items for the same batch.
            label: i32[B], -1 for none; None: none, and nothing to guide shared codes by.
            progress: called with the share that is done.

        Returns:
            i32[B, T] without hidden tokens; those that were known are as they were.
        """
        self._noise.state.assign(np.array([seed % 2**32, 0], "uint32"))
        names = tuple(sections)
        known = tf.constant(tokens, tf.int32)
        labels = None if label is None else tf.constant(label, tf.int32)
        report = progress or (lambda share: None)
        if self.prior.causal:
            parts = self.prior.tokens.slices(names)
            filled = tuple(name for name in names if (tokens[:, parts[name]] == HIDDEN).any())
            found = self._once(self._forward, names, filled, known, labels)
            report(1.0)
            return found.numpy()
        return self._parallel(known, names, labels, report).numpy()

    def _parallel(
        self, known: Any, names: tuple[str, ...], label: Any, report: Callable[[float], None]
    ) -> Any:
        parts = self.prior.tokens.slices(names)
        hidden = known.numpy() == HIDDEN
        private = [name for name in names if name != "shared" and hidden[:, parts[name]].any()]
        ahead = hidden[:, parts["shared"]].any()
        private_steps, shared_steps = _split(self.settings.steps, bool(ahead), bool(private), parts["shared"])
        total, done = private_steps + shared_steps, 0
        if shared_steps:
            # Private codes say something of the shared ones only where some are kept.
            kept = [n for n in names if n == "shared" or not hidden[:, parts[n]].all()]
            places = np.concatenate([np.arange(known.shape[1])[parts[n]] for n in kept])
            narrow = tf.gather(known, places, axis=1)
            for step in range(shared_steps):
                narrow = self._round(
                    narrow, tuple(kept), ("shared",), step, shared_steps, label, hidden[:, places]
                )
                done += 1
                report(done / total)
            known = tf.concat([narrow[:, parts["shared"]], known[:, parts["shared"].stop :]], axis=1)
        for step in range(private_steps):
            known = self._round(known, names, tuple(private), step, private_steps, label, hidden)
            done += 1
            report(done / total)
        return known

    def _round(
        self,
        known: Any,
        names: tuple[str, ...],
        filled: tuple[str, ...],
        step: int,
        steps: int,
        label: Any,
        at_first: np.ndarray,
    ) -> Any:
        parts = self.prior.tokens.slices(names)
        left = {
            name: tf.constant(
                [still_hidden(step, steps, n) for n in at_first[:, parts[name]].sum(1)], tf.int32
            )
            for name in filled
        }
        noise = self.settings.randomness * (1.0 - (step + 1) / steps)
        return self._once(self._one_round, names, filled, known, label, left, tf.constant(noise, tf.float32))

    def _one_round(self, names: tuple[str, ...], filled: tuple[str, ...]) -> Callable[..., Any]:
        prior, parts = self.prior, self.prior.tokens.slices(names)
        offsets = prior.tokens.offsets(names)

        def run(known: Any, label: Any, left: dict[str, Any], noise: Any) -> Any:
            scores = self._scores(known, label, names, filled)
            pieces = []
            for name, part in parts.items():
                here = known[:, part]
                if name not in filled:
                    pieces.append(here)
                    continue
                heat = self.settings.heat(name)
                choice = drawn(scores[name], heat, self._noise, self.settings.top_k, self.settings.top_p)
                logs = ops.log_softmax(scores[name], axis=-1)
                confidence = ops.take_along_axis(logs, choice[..., None], axis=-1)[..., 0]
                if heat:  # else greedy: the surest first, and nothing is random
                    shuffled = gumbel(ops.shape(confidence), self._noise)
                    # Shared codes decide what an item is of: settling the surest first would favour some.
                    confidence = shuffled if name == "shared" else confidence + noise * shuffled
                hidden = here < 0
                again = least_certain(confidence, hidden, left[name])
                fresh = ops.where(hidden, choice + offsets[part], here)
                pieces.append(ops.where(again, HIDDEN, fresh))
            return ops.concatenate(pieces, axis=1)

        return run

    def _scores(
        self, known: Any, label: Any, names: tuple[str, ...], filled: tuple[str, ...]
    ) -> dict[str, Any]:
        weights = {name: self.settings.weight(name) for name in filled}
        on_shared = "shared" in filled
        if not any(weights.values()) or (on_shared and label is None):
            return self.prior(known, label, sections=names)
        # Without the condition: no label, and for private codes no shared ones. Both in one batch.
        blind = known if on_shared else self._blind(known, names)
        both = None if label is None else ops.concatenate([label, ops.full_like(label, -1)], axis=0)
        scores = self.prior(ops.concatenate([known, blind], axis=0), both, sections=names)
        halves = {name: ops.split(found, 2, axis=0) for name, found in scores.items()}
        return {name: guided(halves[name][0], halves[name][1], weights[name]) for name in filled}

    def _blind(self, known: Any, names: tuple[str, ...]) -> Any:
        shared = self.prior.tokens.slices(names)["shared"]
        return ops.concatenate([ops.full_like(known[:, shared], HIDDEN), known[:, shared.stop :]], axis=1)

    def _forward(self, names: tuple[str, ...], filled: tuple[str, ...]) -> Callable[..., Any]:
        prior, parts = self.prior, self.prior.tokens.slices(names)
        where, offsets = prior.tokens.places(names), prior.tokens.offsets(names)
        length, settings = len(where), self.settings
        choosers = dict(zip(prior.tokens.names, prior.choosers, strict=True))

        def run(known: Any, label: Any) -> Any:
            steerable = [name for name in filled if name != "shared" or label is not None]
            guide = any(settings.weight(name) for name in steerable)
            batch = ops.shape(known)[0]
            # What guidance subtracts: neither label nor shared codes; for these themselves, no label.
            steered = guide and label is not None
            caches = prior.empty_caches(batch * (1 + guide + steered), length)
            tokens = known
            before = ops.full((batch, 1), HIDDEN, "int32")
            asked = label
            if steered:
                asked = ops.concatenate([label, ops.full((2 * batch,), -1, "int32")], axis=0)
            for name, part in parts.items():
                if name != "shared":  # see `Prior.held`
                    before = tokens[:, parts["shared"].stop - 1 : parts["shared"].stop]
                    if steered:
                        asked = asked[: 2 * batch]
                        caches = [Cache(*(held[: 2 * batch] for held in cache)) for cache in caches]

                def more(place: Any, *_: Any, stop: int = part.stop) -> Any:
                    return place < stop

                section = name, part.start, asked

                def body(place: Any, before: Any, tokens: Any, caches: Any, section: Any = section) -> Any:
                    name, first, labels = section
                    spot = ops.take(where, place)
                    read = [before]
                    if guide:
                        shared = (place < parts["shared"].stop) | (place == first)
                        read.append(ops.where(shared, HIDDEN, before))
                    if steered and name == "shared":
                        read.append(before)
                    x = prior.first_vectors(ops.concatenate(read, axis=0), spot[None], labels)
                    mask = (ops.arange(length) <= place)[None, None]
                    x, caches = prior.one(x, caches, place, mask)
                    logits = ops.cast(choosers[name](prior.last(x)), "float32")
                    halves = ops.split(logits, len(read), axis=0)
                    logits = halves[0]
                    if guide and (steered or name != "shared"):
                        logits = guided(logits, halves[-1], settings.weight(name))
                    heat = settings.heat(name)
                    choice = drawn(logits, heat, self._noise, settings.top_k, settings.top_p)
                    choice = choice + ops.take(offsets, place)
                    given = ops.slice(tokens, (0, place), (batch, 1))
                    before = ops.where(given < 0, choice, given)
                    return place + 1, before, ops.slice_update(tokens, (0, place), before), caches

                _, before, tokens, caches = ops.while_loop(
                    more, body, (ops.convert_to_tensor(part.start), before, tokens, caches)
                )
            return tokens

        return run

    def _once(self, make: Callable[..., Any], names: Any, filled: Any, *given: Any) -> Any:
        """What the function that `make` makes gives; it is traced once, for any number of items."""
        key = make.__name__, names, filled, given[1] is None
        if key not in self._compiled:
            traced = tf.function(make(names, filled), autograph=False)
            traced.get_concrete_function(*tree.map_structure(_of_any_count, given))
            self._compiled[key] = traced
        return self._compiled[key](*given)


def _of_any_count(value: Any) -> Any:
    return value if value is None else tf.TensorSpec((None, *value.shape[1:])[: value.ndim], value.dtype)


def _in_section(setting: float | Mapping[str, float], section: str, plain: float) -> float:
    if not isinstance(setting, Mapping):
        return setting
    if section == "shared":
        return max(setting.get(name, plain) for name in MODALITIES)
    return setting.get(section, plain)


def _split(steps: int, shared: bool, private: bool, part: slice) -> tuple[int, int]:
    """Steps for private and for shared codes."""
    if not shared:
        return steps if private else 0, 0
    if not private:
        return 0, steps
    first = max(min(steps // 3, part.stop - part.start), 1)
    return max(steps - first, 1), first
