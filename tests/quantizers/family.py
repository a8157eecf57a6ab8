"""One of each quantizer, for latents of 4 dimensions."""

from vqmm.quantizers import (
    FSQ,
    GroupedQuantizer,
    JointQuantizer,
    LookupFree,
    ProjectedQuantizer,
    ResidualQuantizer,
    SimVQ,
    VectorQuantizer,
)


def nearest(dim=4, size=16, distance="euclidean", **settings):
    return VectorQuantizer({"codes": size}, dim, distance=distance, **settings)


FAMILY = {
    "nearest": lambda: VectorQuantizer({"shared": 16, "image": 8}, 4),
    "nearest, gradient": lambda: nearest(update="gradient"),
    "nearest, rotation": lambda: nearest(estimator="rotation"),
    "sim": lambda: SimVQ(16, 4),
    "fsq": lambda: FSQ((8, 5, 3, 2)),
    "lfq": lambda: LookupFree(4),
    "bsq": lambda: LookupFree(4, spherical=True, estimator="rotation"),
    "residual": lambda: ResidualQuantizer([nearest(seed=level) for level in range(3)]),
    "grouped": lambda: GroupedQuantizer([nearest(2, seed=1), nearest(2, seed=2)]),
    "heads": lambda: GroupedQuantizer([nearest(1)], heads=4),
    "projected": lambda: ProjectedQuantizer(nearest(2, distance="cosine"), 4),
    "joint": lambda: JointQuantizer(
        {
            "shared": ProjectedQuantizer(FSQ((5, 3)), 4),
            "image": ResidualQuantizer([nearest(seed=level) for level in range(2)]),
        }
    ),
}


def a_range(quantizer):
    """A range that it can be called with: the last, so that codes do not start at 0."""
    return list(quantizer.ranges)[-1] if quantizer.ranges else None
