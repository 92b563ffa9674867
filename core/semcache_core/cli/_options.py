"""Arguments and options that several commands take."""

from __future__ import annotations

from typing import Annotated

import typer

Where = Annotated[
    str,
    typer.Argument(
        metavar="PATH", help="The cache's folder, its database's URL, or its configuration."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Only this tenant; '' is the unnamed one.")
]
Embedder = Annotated[str | None, typer.Option(help="The cache's embedder: a name or a folder.")]
Threshold = Annotated[float | None, typer.Option(help="How sure a hit must be, in [0, 1].")]
ModelOf = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="What your program asks: a model, chain, engine or function of a question.",
    ),
]
System = Annotated[str | None, typer.Option(help="The chat model's system prompt.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first.")]
