"""Makes lowering cheaper in the processes of the tests: importing this is enough.

JAX makes a context of MLIR for each program, in which it registers all operations again: eight milliseconds, a quarter
of what a small program takes from its tracing to its machine code, and the tests have thousands of them.
"""

import threading
from typing import Any

from jax._src.interpreters import mlir

_MOST = 64
"""Programs that share a context: the constants of all of them stay in it."""


def _share_contexts() -> None:
    make = getattr(mlir, "make_ir_context", None)
    if make is None:  # another version of JAX: as it does by itself
        return
    context, programs = None, 0

    def make_ir_context() -> Any:
        nonlocal context, programs
        if threading.current_thread() is not threading.main_thread() or mlir.ir.Context.current is not None:
            return make()  # a program while another is being lowered would become a part of it
        if programs % _MOST == 0:
            context = make()
        programs += 1
        return context

    mlir.make_ir_context = make_ir_context


_share_contexts()
