"""Runs `vqmm reconstruct` from a checkout, as `python -m pipelines.reconstruct`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("reconstruct")
