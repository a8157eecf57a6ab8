"""The verbs of the command line, one file each: `DESCRIPTION`, `EXAMPLES`, `add_arguments`, `main`."""
