"""`semcache export`, `semcache import` and `semcache copy`."""

from __future__ import annotations

import gzip
import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import IO, Annotated, Any

import typer

from semcache_core.cli._options import AsJson, Embedder, ModelOf, Namespace, System, Where
from semcache_core.cli._output import GO_ON, aside, console, print_json, progress
from semcache_core.cli._program import adapter_class
from semcache_core.cli._record import cache_at, existing, is_url, opened, place_of
from semcache_core.errors import ConfigError

_SQLITE = b"SQLite format 3\0"


class Source(str, Enum):
    """Who wrote a file."""

    AUTO = "auto"
    SEMCACHE = "semcache"
    GPTCACHE = "gptcache"
    LANGCHAIN = "langchain"


def export(
    where: Where,
    output: Annotated[str, typer.Option("--output", "-o", help="A file; .gz; - is stdout.")] = "-",
    namespace: Namespace = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file.")] = False,
    json: AsJson = False,
) -> None:
    """Write all entries as JSON lines, with their vectors and use counts.

    `semcache import` makes the same cache of them. Answers are in there: keep it as you keep those.
    """
    from semcache_core.exchange import export_lines

    if json and output == "-":
        raise ConfigError("--json tells what was done, so the entries need a file: --output FILE")
    with opened(where) as record, _target(output, force=force) as file:
        count, total = -1, record.count()
        with progress("exporting", total) as tell:
            for line in export_lines(record, namespace):
                file.write(line + "\n")
                count += 1
                if count % 500 == 0:
                    tell(count)
    if json:
        print_json({"exported": count, "file": output})
    else:
        aside.print(f"{count} entries exported")


@contextmanager
def _target(name: str, *, force: bool) -> Iterator[IO[str]]:
    """A file that is there as a whole or not at all."""
    if name == "-":
        yield sys.stdout
        return
    path = Path(name).expanduser()
    if path.exists() and (path.is_dir() or not force):
        said = "a folder" if path.is_dir() else "there already; --force replaces it"
        raise ConfigError(f"--output: {name!r} is {said}")
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with (
            gzip.open(partial, "wt", encoding="utf-8")
            if path.suffix == ".gz"
            else partial.open("w", encoding="utf-8") as file
        ):
            yield file
        partial.replace(path)
    except FileNotFoundError as error:
        raise ConfigError(f"--output: the folder of {name!r} does not exist") from error
    finally:
        partial.unlink(missing_ok=True)


def import_(
    where: Where,
    file: Annotated[str, typer.Argument(help="The file, or GPTCache's folder; - is stdin.")],
    *,
    source: Annotated[Source, typer.Option("--from", help="Who wrote it.")] = Source.AUTO,
    model_of: ModelOf = None,
    system: System = None,
    embedder: Embedder = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there; not for exports.")
    ] = False,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad lines.")] = False,
    json: AsJson = False,
) -> None:
    """Take over entries: of an export, of LangChain's SQLiteCache, of GPTCache's SQLite file.

    An export makes the same cache, and of two answers to one prompt the newer stays. LangChain's
    entries are stored for the same calls. GPTCache's have no model to them: --model-of says what
    your program asks (see `semcache warm`). Doing it again takes up where it stopped.
    """
    kind = _kind(file) if source is Source.AUTO else source
    if kind is Source.SEMCACHE:
        if model_of or system or embedder or overwrite:
            raise ConfigError("an export brings its own: --model-of and the like do not go with it")
        told = _import_lines(where, file, lenient=skip_bad)
    elif kind is Source.LANGCHAIN:
        told = _import_langchain(where, file, embedder, overwrite=overwrite)
    else:
        from semcache_core.cli._warm import warmed
        from semcache_core.exchange import read_gptcache

        pairs = read_gptcache(file)
        program = (model_of, system)
        told = warmed(where, pairs, program, embedder=embedder, overwrite=overwrite)
    if json:
        print_json(told)
    else:
        said = {name: value for name, value in told.items() if value or name == "stored"}
        console.print(", ".join(f"{name}: {value}" for name, value in said.items()), markup=False)
    if told.get("skipped"):
        raise typer.Exit(1)


def _kind(file: str) -> Source:
    path = Path(file).expanduser()
    if file == "-":
        return Source.SEMCACHE
    if path.is_dir():
        return Source.GPTCACHE
    try:
        with path.open("rb") as opened_file:
            if opened_file.read(len(_SQLITE)) != _SQLITE:
                return Source.SEMCACHE
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{file!r} cannot be read: {why}") from error
    return _of_database(path)


def _of_database(path: Path) -> Source:
    known = {"full_llm_cache": Source.LANGCHAIN, "gptcache_question": Source.GPTCACHE}
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    except sqlite3.Error as error:
        raise ConfigError(f"{str(path)!r} is a damaged database: {error}") from error
    found = [known[name] for name in known.keys() & tables]
    if not found:
        raise ConfigError(
            f"{str(path)!r} is a database, but neither of LangChain's SQLiteCache nor of GPTCache; "
            "to copy a semcache folder there is `semcache copy`"
        )
    return found[0]


def _import_lines(where: str, file: str, *, lenient: bool) -> dict[str, Any]:
    from semcache_core.exchange import check_head, import_lines
    from semcache_core.store.opening import open_record

    with _lines(file) as lines:
        first = next(lines, "")
        check_head(first, f"{file}:1")  # a file that is none must not leave an empty cache behind
        record = open_record(place_of(where))
        try:
            with progress("importing", None, GO_ON) as tell:
                told = _shown(chain([first], lines), tell)
                return asdict(import_lines(record, told, file, lenient=lenient))
        finally:
            record.close()


def _shown(lines: Iterable[str], tell: Callable[[int], None]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield line
        if number % 500 == 0:
            tell(number)


@contextmanager
def _lines(file: str) -> Iterator[Iterator[str]]:
    try:
        if file == "-":
            yield iter(sys.stdin)
            return
        path = Path(file).expanduser()
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as lines:
            yield iter(lines)
    except UnicodeDecodeError:
        raise ConfigError(f"{file!r} is not a text in UTF-8") from None
    except (
        FileNotFoundError,
        IsADirectoryError,
        PermissionError,
        gzip.BadGzipFile,
        EOFError,
    ) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{file!r} cannot be read: {why}") from error


def _import_langchain(
    where: str, file: str, embedder: str | None, *, overwrite: bool
) -> dict[str, Any]:
    kind = adapter_class("langchain_semcache")
    with (
        cache_at(where, kind, new=True, embedder=embedder) as cache,
        progress("importing", None, GO_ON) as tell,
    ):
        done = cache.import_sqlite_cache(
            file, overwrite=overwrite, progress=lambda state: tell(state.pairs)
        )
    told = asdict(done)
    return {"prompts": told.pop("pairs")} | told


def _same(one: str, other: str) -> bool:
    if is_url(one) or is_url(other):
        return one == other
    return Path(one).resolve() == Path(other).resolve()


def copy(
    source: Annotated[str, typer.Argument(metavar="A", help="A folder, database URL, or config.")],
    target: Annotated[str, typer.Argument(metavar="B", help="Likewise; made if missing.")],
    json: AsJson = False,
) -> None:
    """Copy a cache: to a server, back, or to another folder.

    Both may be in use. Nothing is deleted in B, and of two answers to one prompt the newer stays.
    Doing it again takes up where it stopped.
    """
    from semcache_core.copying import Copied
    from semcache_core.copying import copy as copied

    given = existing(source)
    if _same(given, place_of(target)):
        raise ConfigError("A and B are the same cache")
    with progress("copying", None, GO_ON) as tell:

        def shown(state: Copied) -> None:
            tell(state.done)

        done = copied(given, place_of(target), progress=shown)
    if json:
        print_json(asdict(done))
    else:
        console.print(
            f"{done.copied} entries copied, {done.present} were there already, "
            f"{done.expired} had expired"
        )
