"""Runs `vqmm completion` from a checkout, as `python -m pipelines.completion`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("completion")
