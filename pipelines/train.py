"""Runs `vqmm train` from a checkout, as `python -m pipelines.train`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("train")
