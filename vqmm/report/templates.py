"""The pages' templates."""

from __future__ import annotations

from collections.abc import Callable

import jinja2


def template(name: str, package: str = "vqmm.report", **filters: Callable[..., str]) -> jinja2.Template:
    """A template that lies in a package; what it names and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
