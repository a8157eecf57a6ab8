"""Runs `vqmm app` from a checkout, as `python -m pipelines.app`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("app")
