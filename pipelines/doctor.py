"""Runs `vqmm doctor` from a checkout, as `python -m pipelines.doctor`."""

from vqmm.commands.launch import launch

if __name__ == "__main__":
    launch("doctor")
