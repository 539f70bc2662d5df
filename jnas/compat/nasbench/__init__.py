"""NAS-Bench-101: `from jnas.compat.nasbench import api`."""
