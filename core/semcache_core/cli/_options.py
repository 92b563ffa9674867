"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Where = Annotated[
    str, typer.Argument(metavar="PATH", help="The cache's folder, or its database's URL.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Only this tenant; '' is the unnamed one.")
]
