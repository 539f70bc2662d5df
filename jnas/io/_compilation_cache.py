"""Compiled programs kept between commands, in the user's own cache folder."""

import os
import stat
import warnings
from pathlib import Path


def use_compilation_cache() -> Path | None:
    """Makes JAX keep compiled programs on disk, and returns the folder; None where there is none that may be used.

    `JAX_COMPILATION_CACHE_DIR` says which folder; without it, `jnas/xla` in the user's cache folder. Who can write to
    that folder can make programs run: one that others own or may write to is not used.
    """
    import jax

    # A cache that cannot be read or written is slower and nothing else: not worth a warning among results.
    warnings.filterwarnings("ignore", message=".*persistent compilation cache.*")
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)  # type: ignore[no-untyped-call]
    chosen = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    if chosen is not None:
        return Path(chosen) if chosen else None
    folder = _own_folder()
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))  # type: ignore[no-untyped-call]
    return folder


def _own_folder() -> Path | None:
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        root = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
        folder = root / "jnas" / "xla"
        for made in (folder.parent, folder):
            made.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = made.stat()
            owner = os.getuid() if hasattr(os, "getuid") else found.st_uid  # Windows has no owners of this kind
            if found.st_uid != owner or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                return None
    except (OSError, RuntimeError):  # no home, no permission, no space
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None
