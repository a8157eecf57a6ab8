"""Runs `vqmm query` from a checkout, as `python -m pipelines.query`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("query")
