"""Runs `vqmm index` from a checkout, as `python -m pipelines.index`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("index")
