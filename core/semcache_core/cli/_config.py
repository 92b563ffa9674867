"""`semcache config`: configurations checked, described, and translated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from semcache_core.cli._options import AsJson
from semcache_core.cli._output import aside, console, facts, print_json, table
from semcache_core.errors import ConfigError

app = typer.Typer(
    name="config",
    help="Check a configuration, describe what it may say, translate GPTCache's.",
    no_args_is_help=True,
)
File = Annotated[str | None, typer.Argument(help="YAML or JSON; else SEMCACHE_CONFIG's.")]


@app.command()
def check(
    file: File = None,
    build: Annotated[bool, typer.Option("--build", help="Make its parts as well.")] = False,
    json: AsJson = False,
) -> None:
    """Say what is wrong with a configuration, line by line, or what it says.

    Environment variables count as they would for a cache. --build makes the embedder and the other
    parts too, which loads models; the cache itself is not opened.
    """
    from semcache_core.config import load

    loaded = load(file)
    _check_server(loaded.config.server)
    if build:
        loaded.arguments()
    said = loaded.shown()
    if json:
        print_json({"valid": True, "settings": said})
    elif said:
        console.print(facts([(name, str(value)) for name, value in said.items()]))
    else:
        aside.print("nothing is set: all defaults, in memory")


def _check_server(section: Mapping[str, Any] | None) -> None:
    """As `serve` would, which may be told the upstream on its command line."""
    from semcache_core.server.reading import settings_from

    if section is None:
        return
    try:
        settings_from({**section, "upstream": section.get("upstream") or "http://127.0.0.1"})
    except ConfigError as error:
        said = str(error)
        raise ConfigError(said if said.startswith("server.") else f"server.{said}") from None


@app.command()
def schema(
    json: Annotated[bool, typer.Option("--json", help="It is JSON in any case.")] = True,
) -> None:
    """Print the JSON schema: editors complete and check with it."""
    from semcache_core.config import schema as described

    print_json(described())


@app.command("from-gptcache")
def from_gptcache(
    file: Annotated[str, typer.Argument(help="GPTCache's YAML.")],
    output: Annotated[str | None, typer.Option("--output", "-o", help="Else standard out.")] = None,
    json: AsJson = False,
) -> None:
    """Translate GPTCache's YAML, and say of each item what became of it.

    The exit code is 1 if there are items that have no counterpart in a configuration.
    """
    import yaml

    from semcache_core.config.gptcache import translate_file

    made = translate_file(Path(file).expanduser())
    text = yaml.safe_dump(made.settings, sort_keys=False, allow_unicode=True)
    if output is not None:
        _write(output, text)
    if json:
        print_json({"settings": made.settings, "items": [asdict(note) for note in made.notes]})
    else:
        if output is None:
            typer.echo(text, nl=False)
        rows = [(note.item, note.verdict, note.why) for note in made.notes]
        aside.print(table(("item", "", "why"), rows))
    if made.refused:
        raise typer.Exit(1)


def _write(name: str, text: str) -> None:
    path = Path(name).expanduser()
    if path.exists():
        raise ConfigError(f"--output: {name!r} is there already")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--output: {name!r} cannot be written: {error.strerror}") from error
