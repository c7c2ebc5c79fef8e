"""Timings, each beside what one would otherwise run: `python -m benchmarks` writes README.md, `make bench` asserts."""
