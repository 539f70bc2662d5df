"""Statistics of searches: functions of traces, and of numbers over seeds.

Functions of traces work inside `jit` and under `vmap`; the others take NumPy arrays and compute in float64.
"""

from jnas.core._trace_statistics import (
    Incumbent,
    best_so_far,
    elapsed_seconds,
    evaluation_counts,
    incumbent,
    num_evaluations,
    stopped_by,
)
from jnas.statistics._attainment import AttainmentSurface, attainment_surface
from jnas.statistics._average_ranks import (
    FriedmanTest,
    RankComparison,
    average_ranks,
    compare_ranks,
    critical_difference,
    friedman_test,
)
from jnas.statistics._bootstrap import Interval, bootstrap_interval
from jnas.statistics._comparison import (
    PairwiseTests,
    TwoSampleTest,
    compare_pairwise,
    holm_correction,
    mann_whitney_test,
    welch_test,
    wilcoxon_test,
)
from jnas.statistics._curves import area_under_curve, curve_at, regret
from jnas.statistics._fronts import additive_epsilon, dominates, exact_front, hypervolume, on_front
from jnas.statistics._power import runs_needed
from jnas.statistics._predicted_best import Spread, predicted_best_percentiles, subset_kendall_tau
from jnas.statistics._random_draws import (
    BestOfDraws,
    DrawsComparison,
    best_of_draws,
    best_quantiles,
    compare_with_draws,
    compare_with_tails,
    expected_best,
    probability_at_least,
    probability_at_most,
)
from jnas.statistics._rank_correlation import (
    kendall_tau,
    pearson_correlation,
    precision_at_k,
    probability_to_surpass_random,
    rank_of,
    sparse_kendall_tau,
    spearman_correlation,
)
from jnas.statistics._statistics import mean_over_seeds, quantiles_over_seeds, std_over_seeds

__all__ = [
    "AttainmentSurface",
    "BestOfDraws",
    "DrawsComparison",
    "FriedmanTest",
    "Incumbent",
    "Interval",
    "PairwiseTests",
    "RankComparison",
    "Spread",
    "TwoSampleTest",
    "additive_epsilon",
    "area_under_curve",
    "attainment_surface",
    "average_ranks",
    "best_of_draws",
    "best_quantiles",
    "best_so_far",
    "bootstrap_interval",
    "compare_pairwise",
    "compare_ranks",
    "compare_with_draws",
    "compare_with_tails",
    "critical_difference",
    "curve_at",
    "dominates",
    "elapsed_seconds",
    "evaluation_counts",
    "exact_front",
    "expected_best",
    "friedman_test",
    "holm_correction",
    "hypervolume",
    "incumbent",
    "kendall_tau",
    "mann_whitney_test",
    "mean_over_seeds",
    "num_evaluations",
    "on_front",
    "pearson_correlation",
    "precision_at_k",
    "predicted_best_percentiles",
    "probability_at_least",
    "probability_at_most",
    "probability_to_surpass_random",
    "quantiles_over_seeds",
    "rank_of",
    "regret",
    "runs_needed",
    "sparse_kendall_tau",
    "spearman_correlation",
    "std_over_seeds",
    "stopped_by",
    "subset_kendall_tau",
    "welch_test",
    "wilcoxon_test",
]
