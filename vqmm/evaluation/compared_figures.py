"""Which figures of `evaluation.json` configs are compared by, and in which units."""

from __future__ import annotations

from typing import NamedTuple

# Of evaluation.json. In 1, kernel distances were of subsets of 200 items, and each seed was judged on a
# sample of its own. In 2, one label alone made labels decide what was found, and few items had intervals
# too. Such figures are not set beside those of now.
FORMAT_VERSION = 3


class Measured(NamedTuple):
    """A figure that a table shows.

    Attributes:
        path: where it stands in `evaluation.json`, parts joined by dots; "" where it comes from
            elsewhere.
        unit: what it is counted in, for a reader.
    """

    path: str
    unit: str


MAP = "mAP, 0 to 1"
SHARE = "share, 0 to 1"
SQUARED = "squared, in features"
SIMILARITY = "1 where equal"

FIGURES = {
    "code distance, audio to image": Measured("retrieval.audio_to_image.code_distance.map", MAP),
    "code distance, image to audio": Measured("retrieval.image_to_audio.code_distance.map", MAP),
    "shared codes alone, audio to image": Measured("retrieval.audio_to_image.shared_distance.map", MAP),
    "shared codes alone, image to audio": Measured("retrieval.image_to_audio.shared_distance.map", MAP),
    "continuous, audio to image": Measured("retrieval.audio_to_image.continuous.map", MAP),
    "continuous, image to audio": Measured("retrieval.image_to_audio.continuous.map", MAP),
    "exact match, audio to image": Measured("retrieval.audio_to_image.exact.map", MAP),
    "exact match, image to audio": Measured("retrieval.image_to_audio.exact.map", MAP),
    "k-means code distance, audio to image": Measured(
        "retrieval.audio_to_image.kmeans.code_distance.map", MAP
    ),
    "k-means code distance, image to audio": Measured(
        "retrieval.image_to_audio.kmeans.code_distance.map", MAP
    ),
    "pair agreement": Measured("codebook.pair_agreement", SHARE),
    "pair information": Measured("codebook.pair_information.per_slot_bits", "bits a slot"),
    "shared codes": Measured("codebook.codes", "codes"),
    "usage, shared": Measured("codebook.ranges.shared.usage", SHARE),
    "usage, image": Measured("codebook.ranges.image.usage", SHARE),
    "usage, audio": Measured("codebook.ranges.audio.usage", SHARE),
    "owned by one modality": Measured("codebook.exclusive", SHARE),
    "picture MSE": Measured("reconstruction.image.mse", "squared, of 0 to 1"),
    "picture PSNR": Measured("reconstruction.image.psnr", "dB"),
    "picture SSIM": Measured("reconstruction.image.ssim", SIMILARITY),
    "picture MS-SSIM": Measured("reconstruction.image.ms_ssim", SIMILARITY),
    "picture cross-entropy": Measured("reconstruction.image.cross_entropy", "bits a sample"),
    "picture perceptual distance": Measured("reconstruction.image.perceptual", "in features, 0 where equal"),
    "picture Fréchet distance, rebuilt": Measured("reconstruction.image.frechet", SQUARED),
    "picture kernel distance, rebuilt": Measured("reconstruction.image.kernel", SQUARED),
    "log-mel L1": Measured("reconstruction.audio.log_mel_l1", "log10 of power"),
    "multi-scale mel distance": Measured("reconstruction.audio.multiscale_mel", "log10, over all scales"),
    "multi-scale mel distance, Griffin-Lim alone": Measured(
        "reconstruction.audio.vocoder_floor", "log10, over all scales"
    ),
    "sound SI-SDR": Measured("reconstruction.audio.si_sdr", "dB"),
    "sound perceptual distance": Measured("reconstruction.audio.perceptual", "in features, 0 where equal"),
    "sound Fréchet distance, rebuilt": Measured("reconstruction.audio.frechet", SQUARED),
    "sound kernel distance, rebuilt": Measured("reconstruction.audio.kernel", SQUARED),
    "pictures drawn, Fréchet distance": Measured("generation.unconditional.image.frechet", SQUARED),
    "pictures drawn, kernel distance": Measured("generation.unconditional.image.kernel", SQUARED),
    "pictures drawn, precision": Measured("generation.unconditional.image.precision", SHARE),
    "pictures drawn, recall": Measured("generation.unconditional.image.recall", SHARE),
    "pictures drawn, classifier score": Measured(
        "generation.unconditional.image.classifier_score", "1 to number of classes"
    ),
    "pictures, real from training, Fréchet distance": Measured(
        "generation.unconditional.image.floor.frechet", SQUARED
    ),
    "pictures, real from training, kernel distance": Measured(
        "generation.unconditional.image.floor.kernel", SQUARED
    ),
    "sounds drawn, Fréchet distance": Measured("generation.unconditional.audio.frechet", SQUARED),
    "sounds drawn, kernel distance": Measured("generation.unconditional.audio.kernel", SQUARED),
    "sounds drawn, precision": Measured("generation.unconditional.audio.precision", SHARE),
    "sounds drawn, recall": Measured("generation.unconditional.audio.recall", SHARE),
    "sounds drawn, classifier score": Measured(
        "generation.unconditional.audio.classifier_score", "1 to number of classes"
    ),
    "sounds, real from training, Fréchet distance": Measured(
        "generation.unconditional.audio.floor.frechet", SQUARED
    ),
    "sounds, real from training, kernel distance": Measured(
        "generation.unconditional.audio.floor.kernel", SQUARED
    ),
    "drawn together, same label": Measured("generation.unconditional.joint_coherence", SHARE),
    "picture from sound, right label": Measured("generation.audio_to_image.coherence", SHARE),
    "sound from picture, right label": Measured("generation.image_to_audio.coherence", SHARE),
    **{
        f"{what} {kind} latents, {name}": Measured(f"latents.{name}.{kind}.{key}", unit)
        for name in ("image", "audio")
        for kind in ("shared", "private")
        for what, key, unit in (
            ("active", "active_units", SHARE),
            ("nats in", "nats", "nats an item"),
        )
    },
    "shared bits an item": Measured("cost.bits_per_item", "bits"),
    "shared bytes an item": Measured("cost.bytes_per_item", "bytes"),
    "bytes an item in an index": Measured("cost.bytes_in_index", "bytes"),
    "bits a picture": Measured("cost.bits_per_picture", "bits"),
    "bits a recording": Measured("cost.bits_per_recording", "bits"),
    "steps a second": Measured("cost.steps_per_second", "steps/s"),
    "training seconds": Measured("cost.train_seconds", "s"),
    "seconds to quality": Measured("", "s"),
    "peak memory": Measured("", "MiB"),
}
