"""Runs `vqmm compare` from a checkout, as `python -m pipelines.compare`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("compare")
