"""The published Python interfaces of benchmarks, over tables: existing code runs by changing one import."""
