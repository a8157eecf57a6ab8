"""Runs the command line as `python -m vqmm`."""

from vqmm.commands.launch import main

if __name__ == "__main__":
    main()
