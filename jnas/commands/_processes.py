"""Which of several processes a command is, of those that share its folder, and what it says as such."""

import argparse
from typing import Any

import jax


def take_share(options: argparse.Namespace) -> None:
    """Lets this process learn which of several it is, where the options of `PROCESSES` say that there are several.

    JAX must not have started its devices.

    Raises:
      ValueError: The options do not fit one another.
    """
    named = (options.coordinator, options.num_processes, options.process_id)
    if all(value is not None for value in named):
        if options.process_id >= options.num_processes:
            raise ValueError(
                f"--process-id is {options.process_id}, expected an integer from 0 to {options.num_processes - 1}, as "
                f"--num-processes is {options.num_processes}"
            )
        _learn_share(*named)
    elif any(value is not None for value in named):
        raise ValueError("--coordinator, --num-processes and --process-id go together; give all three or none")
    elif options.distributed:
        _learn_share()


def _learn_share(*named: Any) -> None:
    """Lets this process learn which of several it is, and leaves the others again.

    They share a folder, and no program runs on several of them. While they were connected, JAX would end all of them,
    without a word that a user understands, where one is killed.
    """
    jax.config.update("jax_enable_preemption_service", False)  # type: ignore[no-untyped-call]
    jax.config.update("jax_cpu_collectives_implementation", None)  # type: ignore[no-untyped-call]
    jax.distributed.initialize(*named)
    jax.process_index()  # starts the devices, which know it from then on
    jax.distributed.shutdown()  # type: ignore[no-untyped-call]


def say(text: str) -> None:
    """Prints a line at once, from the first of several processes alone."""
    if jax.process_index() == 0:
        print(text, flush=True)
