#!/usr/bin/env bash
# optax.clip_by_global_norm turns finite float16 gradients into zeros.
#
# Expected: the reference (Optax 0.2.8): "Clips updates using their global norm", so that what is longer than
# `max_norm` comes back with that norm and its direction.
# Happens: squares are summed in float16, whose largest number is 65,504. From a norm of 256 on (a number that float16
# holds well, as it does each gradient) the sum is infinite, and every update is divided by infinity: all are 0.
# Nothing is NaN or infinite, so `apply_if_finite` lets it pass, and the network stands still exactly where clipping
# was asked to help.
# Known: that norms are taken in the type of the gradients is noted in
# https://github.com/AI-Hypercomputer/maxtext/pull/5143; PyTorch's neighbours mended theirs
# (https://github.com/facebookresearch/fairscale/pull/263).
# Bitten: half precision with a scaled loss (scales begin at 2**15), where clipping stands before the unscaling, and
# any early step with large gradients.
# Way round: cast before clipping: `optax.chain(optax.stateless(lambda u, p: optax.tree.cast(u, jnp.float32)),
# optax.clip_by_global_norm(1.0), ...)`.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq --disable-pip-version-check optax==0.2.8 jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np
import optax

print("optax", optax.__version__, "jax", jax.__version__)
clip = optax.clip_by_global_norm(1.0)
to_float32 = optax.stateless(lambda updates, params: optax.tree.cast(updates, jnp.float32))


def norm_after(transform, size, dtype):
    gradients = {"w": jnp.full(100, size, dtype)}
    updates, _ = transform.update(gradients, transform.init(gradients), gradients)
    return float(np.linalg.norm(np.asarray(updates["w"], np.float64)))


found = {}
for size in (1.0, 20.0, 30.0, 1000.0):
    found[size] = norm_after(clip, size, "float16")
    other = [norm_after(clip, size, dtype) for dtype in ("bfloat16", "float32")]
    print(f"norm {10 * size:7.0f}: after clipping to 1, float16 {found[size]:.3f}, bfloat16 {other[0]:.3f}, float32 {other[1]:.3f}")
    assert np.allclose(other, 1, atol=0.02)

params = {"w": jnp.full(100, 0.5, "float16")}
optimizer = optax.apply_if_finite(optax.chain(clip, optax.sgd(0.1)), max_consecutive_errors=0)
state = optimizer.init(params)
for _ in range(5):
    gradients = jax.grad(lambda p: (1024 * jnp.square(p["w"] + 1)).sum() / 50)(params)
    updates, state = optimizer.update(gradients, state, params)
    params = optax.apply_updates(params, updates)
moved = float(jnp.abs(params["w"] - 0.5).max())
norm = float(np.linalg.norm(np.asarray(gradients["w"], np.float64)))
print(f"five steps with gradients of norm {norm:.0f}: moved by {moved}, steps refused as not finite: {int(state.total_notfinite)}")
mended = norm_after(optax.chain(to_float32, clip), 1000.0, "float16")
print(f"cast to float32 first: {mended:.3f}")

assert np.isclose(found[1.0], 1, atol=0.02) and np.isclose(found[20.0], 1, atol=0.02)
assert found[30.0] == 0 and found[1000.0] == 0, "float16 gradients are clipped now"
assert moved == 0 and int(state.total_notfinite) == 0 and np.isclose(mended, 1, atol=0.02)
PYTHON
