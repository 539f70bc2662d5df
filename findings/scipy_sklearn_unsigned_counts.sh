#!/usr/bin/env bash
# A paired t-test of unsigned integers is of wrapped differences; so are two of scikit-learn's errors.
#
# Expected: `scipy.stats.ttest_rel` (reference, SciPy 1.17.1) takes two array_like samples "of scores" and names no
# type: whole numbers should give the test of these numbers, as in `wilcoxon`, `ttest_ind` and `mannwhitneyu`.
# `max_error` (reference, scikit-learn 1.9.1) "calculates the maximum residual error", as `mean_absolute_error` does
# the mean.
# Happens: `ttest_rel` subtracts in the type that came. For counts of correct answers in uint16, 9000 - 9001 is 65535,
# so statistic and p are of other numbers, without a warning: here A is worse on 27 of 30 data sets by some 20 answers
# of 10,000, which as floats gives t = -8; as uint16 t = +16, so A is better with p < 1e-15. `max_error` and
# `median_absolute_error` wrap alike; `mean_absolute_error` and `mean_squared_error` of the same arrays are right.
# Bitten: comparisons of searchers or models over seeds and data sets by counts, bytes of pictures, compact tables.
# Way round: `numpy.asarray(counts, float)` first.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import scipy
import sklearn
from scipy import stats
from sklearn import metrics

print("scipy", scipy.__version__, "scikit-learn", sklearn.__version__, "numpy", np.__version__)
random = np.random.default_rng(0)
a = random.integers(9000, 9400, 30)
b = a + random.integers(5, 40, 30)
b[:3] = a[:3] - 2
counts, floats = (a.astype(np.uint16), b.astype(np.uint16)), (a.astype(float), b.astype(float))
print(f"A is worse on {(b > a).sum()} of 30, by {np.median(b - a):.0f} of 10,000 in the median")

found = {}
for name in ("ttest_rel", "wilcoxon", "mannwhitneyu", "ttest_ind"):
    test = getattr(stats, name)
    found[name] = [test(*pair, alternative="greater") for pair in (floats, counts)]
    words = (f"statistic {result.statistic:7.2f}, p of 'A is better' {result.pvalue:.2e}" for result in found[name])
    print(f"{name:22} as float: {next(words)}; as uint16: {next(words)}")
error = {}
for name in ("max_error", "median_absolute_error", "mean_absolute_error", "mean_squared_error"):
    error[name] = [float(getattr(metrics, name)(*pair)) for pair in (floats, counts)]
    print(f"{name:22} as float {error[name][0]:.1f}, as uint16 {error[name][1]:.1f}")

floats, counts = found["ttest_rel"]
assert floats.statistic < -5 and floats.pvalue > 0.999, "the premise"
assert counts.statistic > 5 and counts.pvalue < 1e-6, "ttest_rel no longer wraps"
for name in ("wilcoxon", "mannwhitneyu", "ttest_ind"):
    assert np.isclose(found[name][0].pvalue, found[name][1].pvalue)
assert error["max_error"][1] > 60000 and error["max_error"][0] < 100, "max_error no longer wraps"
assert np.isclose(*error["mean_absolute_error"]) and np.isclose(*error["mean_squared_error"])
PYTHON
