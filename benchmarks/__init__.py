"""Benchmarks, started by hand: `make bench`. README.md explains what is measured, and holds the results."""
