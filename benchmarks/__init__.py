"""Workloads measured against a hand-written floor in the same run; see `benchmarks.run`."""
