"""Runs `vqmm evaluate` from a checkout, as `python -m pipelines.evaluate`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("evaluate")
