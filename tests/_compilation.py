"""How the tests have programs compiled: quickly, but where two programs are promised to give the same bits."""

from importlib import metadata

_FUSION_EMITTERS = "xla_cpu_use_fusion_emitters"
_KNOWN = metadata.version("jaxlib").startswith("0.10.")  # 0.12 does not know the flag, and aborts

QUICK_FLAGS = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
if _KNOWN:
    QUICK_FLAGS += f" --{_FUSION_EMITTERS}=false"  # a third of the time
    QUICK_FLAGS += " --xla_cpu_parallel_codegen_split_count=1"  # a fifth of it: parts are compiled at once, not sooner

SAME_BITS = {_FUSION_EMITTERS: True} if _KNOWN else {}
"""Compiler options, over `QUICK_FLAGS`, under which a loop rounds as it does in other programs: the default."""
