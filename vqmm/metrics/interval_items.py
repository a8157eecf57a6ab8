"""How many items a figure needs before it has a 95 % interval."""

from __future__ import annotations

# Resamples of n items lie between the smallest and the greatest value. These two have the median between them
# in 1 - 2^(1 - n) of all samples: less than 95 % below six items.
FOR_MEAN = 6
# Distances and coverage of sets look at pairs of items: with fewer, a few resamples decide everything.
FOR_SET = 20


def for_covariance(features: int) -> int:
    """Items that a covariance of so many features needs: of no more items than features it is singular."""
    return max(FOR_MEAN, features + 1)


def for_classes(classes: int) -> int:
    """Items that a score over so many classes needs: with fewer, some class cannot come up."""
    return max(FOR_MEAN, classes + 1)


def too_few(items: int, needed: int) -> str:
    """Says that a figure has no interval; "" where there are items enough.

    Args:
        items: behind the figure; of two sets, the items of the smaller.
        needed: `FOR_MEAN`, `FOR_SET`, or what `for_covariance` or `for_classes` gives.
    """
    if items >= needed:
        return ""
    return f"no interval: {items} {'item is' if items == 1 else 'items are'} too few, it takes {needed}"
