"""Runs `vqmm generate` from a checkout, as `python -m pipelines.generate`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("generate")
