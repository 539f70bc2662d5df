#!/usr/bin/env bash
# GaussianProcessRegressor(normalize_y=True) takes alpha in other units than y, predictions are given back in those of
# y.
#
# Expected: the reference (scikit-learn 1.9.1) says that `alpha` "can also be interpreted as the variance of
# additional Gaussian measurement noise on the training observations", one number or one for each of them; with
# `normalize_y` targets are normalized to unit variance, and "the normalisation is reversed before the GP predictions
# are reported". So a noise known in units of y, as the variance of an accuracy over seeds, is `alpha`.
# Happens: `alpha` is added to the kernel of the normalized targets without being divided by their variance.
# Accuracies in percent that have a variance of 32 with a noise of variance 4 are smoothed as if the noise had
# variance 4 x 32: the mean misses the truth by 3.4, where the same model without the option misses it by 1.1. In
# fractions of one the noise counts as 1/310 of what was said. No issue about it was found among those of
# scikit-learn; some that build on it divide by the variance themselves
# (https://github.com/kiudee/chess-tuning-tools/issues/118).
# Bitten: Bayesian optimization and predictors of accuracy that know their noise and follow the advice to normalize.
# Way round: `alpha=noise / numpy.var(y)`, or normalize y oneself; a `WhiteKernel` is learned in the normalized units
# and is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq --disable-pip-version-check numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import sklearn
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

print("scikit-learn", sklearn.__version__)
random = np.random.default_rng(0)
x, grid, scatter = random.uniform(0, 10, (60, 1)), np.linspace(0, 10, 200)[:, None], random.normal(0, 2, 60)


def truth(x):
    return 80 + 10 * np.sin(x[:, 0])


for name, unit in (("percent", 1.0), ("fractions", 0.01)):
    y = unit * (truth(x) + scatter)
    noise, spread = (2 * unit) ** 2, y.var()

    def error(alpha, normalize_y, targets=y, variance=1.0, offset=0.0, scale=1.0):
        model = GaussianProcessRegressor(
            ConstantKernel(variance) * RBF(1.5), alpha=alpha, normalize_y=normalize_y, optimizer=None
        )
        predicted = model.fit(x, targets).predict(grid) * scale + offset
        return predicted, np.sqrt(np.mean((predicted - unit * truth(grid)) ** 2)) / unit

    plain, honest = error(noise, False, y - y.mean(), variance=spread, offset=y.mean())
    normalized, found = error(noise, True)
    divided, mended = error(noise / spread, True)
    by_hand, _ = error(noise, False, (y - y.mean()) / y.std(), offset=y.mean(), scale=y.std())
    print(f"{name:9}: var(y) {spread:.2g}, noise {noise:.2g}; error of the mean {honest:.2f} without, {found:.2f} with normalize_y, {mended:.2f} with alpha / var(y)")
    assert np.allclose(plain, divided), "the premise: the same model, normalized by hand or not"
    assert np.allclose(normalized, by_hand), "alpha is no longer in normalized units"
    assert found > 2 * honest or name == "fractions", "alpha is now in the units of y"
    assert not np.allclose(plain, normalized, rtol=1e-4)
PYTHON
