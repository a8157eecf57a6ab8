"""Runs `vqmm prepare` from a checkout, as `python -m pipelines.prepare`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("prepare")
