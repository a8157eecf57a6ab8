"""Runs `vqmm tokenize` from a checkout, as `python -m pipelines.tokenize`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("tokenize")
