"""The parts of `tests/benchmarks/accelerator.py`: what is compared and measured, and how results are written."""
