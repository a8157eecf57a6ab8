"""The pages' templates."""

from __future__ import annotations

from collections.abc import Callable

import jinja2


def template(name: str, **filters: Callable[..., str]) -> jinja2.Template:
    """A template beside this file; what it names and is not given is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vqmm.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)
