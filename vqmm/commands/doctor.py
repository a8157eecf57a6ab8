"""Reports what is installed, what works here, and what to install for the rest."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vqmm.installation import Installation

DESCRIPTION = "Prints versions, devices, decoders and extras, and what is missing for each verb."
EXAMPLES = """\
  vqmm doctor
  vqmm doctor --json

The exit status is 0 where all packages of the core load, else 1. Add its output to a report of a fault."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options."""
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def main(args: argparse.Namespace) -> int:
    """Prints the report; returns 0 where the core works, else 1."""
    from vqmm.commands.launch import VERBS
    from vqmm.installation import inspect_installation

    found = inspect_installation(VERBS)
    if args.json:
        print(json.dumps({**found._asdict(), "works": found.works}))
    else:
        _show(found)
    return 0 if found.works else 1


def _show(found: Installation) -> None:
    """Prints the report for people, without tables that a narrow terminal would cut."""
    print("versions")
    for name, version in found.versions.items():
        print(f"  {name:<24} {version}")
    print("devices")
    for device in found.devices:
        print(f"  {device}")
    print("decoders")
    for what, decoder in found.decoders.items():
        print(f"  {what:<24} {decoder}")
    print("extras")
    for name, missing in found.extras.items():
        state = f"missing: {', '.join(missing)}; pip install 'vqmm[{name}]'" if missing else "installed"
        print(f"  {name:<24} {state}")
    print("verbs")
    for name, parts in found.verbs.items():
        print(f"  {name:<24} {parts[0] if parts else 'works'}")
        for part in parts[1:]:
            print(f"  {'':<24} {part}")
    for package, reason in found.faults.items():
        print(f"fault: {package} does not load ({reason}); pip install --force-reinstall {package}")
