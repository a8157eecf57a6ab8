"""What is measured: alignment, codes, fidelity. NumPy in, figures with intervals out."""

from vqmm.metrics.active_units import active_units
from vqmm.metrics.bootstrap import Figure, bootstrap_figure, histogram_figures
from vqmm.metrics.classifier_score import classifier_score
from vqmm.metrics.code_sharing import CodeSharing
from vqmm.metrics.code_usage import CodeUsage
from vqmm.metrics.codes import (
    CodeFigures,
    SharingFigures,
    code_figures,
    item_histograms,
    sharing_figures,
)
from vqmm.metrics.confusion import top1_confusion
from vqmm.metrics.fidelity import (
    log_mel_l1,
    logistic_cross_entropy,
    mean_squared_error,
    multiscale_ssim,
    psnr,
    si_sdr,
    ssim,
)
from vqmm.metrics.frechet import Rebuilt, frechet_difference, frechet_distance
from vqmm.metrics.kernel_distance import kernel_distance
from vqmm.metrics.kmeans_codes import KMeansCodes, fit_kmeans_codes
from vqmm.metrics.mel_distance import multiscale_mel_distance
from vqmm.metrics.pairs import (
    bag_agreement,
    label_entropy,
    pair_agreement,
    pair_information,
)
from vqmm.metrics.precision_recall import PrecisionRecall, precision_recall
from vqmm.metrics.ranking import QueryFigures, expected_at_random, rank_queries
from vqmm.metrics.relevance import Relevance, by_item, relevance
from vqmm.metrics.retrieval import Ranked, RetrievalFigures, judge_ranked, judge_retrieval, rank_gallery
from vqmm.metrics.scorers import (
    Fine,
    Scorer,
    bag_of_codes,
    bag_of_codes_scorer,
    code_scorer,
    cosine_scorer,
    exact_scorer,
    pooled,
    unit,
)
from vqmm.metrics.transfer import Labelled, Transfer, code_transfer, one_hot_slots

__all__ = [
    "CodeFigures",
    "CodeSharing",
    "CodeUsage",
    "Figure",
    "Fine",
    "Labelled",
    "KMeansCodes",
    "QueryFigures",
    "Ranked",
    "Rebuilt",
    "Relevance",
    "RetrievalFigures",
    "Scorer",
    "SharingFigures",
    "Transfer",
    "bag_agreement",
    "bag_of_codes",
    "bag_of_codes_scorer",
    "bootstrap_figure",
    "by_item",
    "code_figures",
    "code_scorer",
    "code_transfer",
    "cosine_scorer",
    "exact_scorer",
    "expected_at_random",
    "fit_kmeans_codes",
    "histogram_figures",
    "item_histograms",
    "judge_ranked",
    "judge_retrieval",
    "label_entropy",
    "log_mel_l1",
    "active_units",
    "classifier_score",
    "frechet_difference",
    "frechet_distance",
    "kernel_distance",
    "logistic_cross_entropy",
    "multiscale_ssim",
    "precision_recall",
    "si_sdr",
    "PrecisionRecall",
    "mean_squared_error",
    "multiscale_mel_distance",
    "one_hot_slots",
    "pair_agreement",
    "pair_information",
    "pooled",
    "psnr",
    "rank_gallery",
    "rank_queries",
    "relevance",
    "sharing_figures",
    "ssim",
    "top1_confusion",
    "unit",
]
