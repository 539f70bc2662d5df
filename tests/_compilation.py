"""How tests have programs compiled: once, and quickly, but where two programs are promised to give the same bits."""

import hashlib
import platform
import time
from importlib import metadata
from pathlib import Path

_FUSION_EMITTERS = "xla_cpu_use_fusion_emitters"
_KNOWN = metadata.version("jaxlib").startswith("0.10.")  # 0.12 does not know the flag, and aborts

QUICK_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if _KNOWN:
    QUICK_FLAGS += f" --{_FUSION_EMITTERS}=false"  # a third of the time
    QUICK_FLAGS += " --xla_cpu_parallel_codegen_split_count=1"  # a fifth of it: parts are compiled at once, not sooner

SAME_BITS = {_FUSION_EMITTERS: True} if _KNOWN else {}
"""Compiler options, over `QUICK_FLAGS`, under which a loop rounds as it does in other programs: the default."""

LONG_RUNS = {"xla_backend_optimization_level": 2}
"""Compiler options, over `QUICK_FLAGS`, of a program that runs for seconds: it runs a fifth as long."""


def kept_programs() -> Path:
    """The folder, beside pytest's own cache, of the programs that were compiled for this processor.

    JAX tells programs apart by their text, their options and its own version; that a program of another processor is
    loaded it does not always see, and a checkout may lie on a disk that machines share.
    """
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else [platform.processor()]
    processor = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    digest = hashlib.sha256("\n".join([platform.machine(), *processor]).encode()).hexdigest()
    return Path(__file__).resolve().parents[1] / ".pytest_cache" / "programs" / digest[:12]


def remove_old_programs(folder: Path, days: float = 7, most_bytes: float = 2e9) -> None:
    """Removes what no run has read for so many days, and of the rest what was read longest ago, beyond a size."""
    files = []
    for path in folder.glob("*") if folder.is_dir() else ():
        stat = path.stat()
        files.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
    total = 0
    for read, size, path in sorted(files, reverse=True):
        total += size
        if total > most_bytes or time.time() - read > days * 86_400:
            path.unlink(missing_ok=True)
