"""Runs `vqmm serve` from a checkout, as `python -m pipelines.serve`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("serve")
