"""Runs `vqmm export` from a checkout, as `python -m pipelines.export`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("export")
