"""The P-CHR curve as a picture. matplotlib is imported only to draw."""

from __future__ import annotations

import importlib.util
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from semcache_core.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from semcache_core.evaluation.report import Report

_KINDS = (".png", ".svg", ".pdf")


def check_plot(path: str | PathLike[str]) -> None:
    """Raises `ConfigError` if no picture can be drawn there, before anything is measured for it."""
    file = Path(path).expanduser()
    if file.suffix.lower() not in _KINDS:
        raise ConfigError(f"plot: {str(path)!r} was given; give a file's name in {_KINDS}")
    if not file.parent.is_dir():
        raise ConfigError(f"plot: there is no folder {str(file.parent)!r}")
    if importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("plot: drawing needs the package 'matplotlib': pip install matplotlib")


def draw(report: Report, path: str | PathLike[str]) -> None:
    """Draw precision against hit rate, by threshold and as configured. Raises `ConfigError`."""
    check_plot(path)
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(6, 4), layout="constrained")
    _curve(figure.add_subplot(), report)
    try:
        figure.savefig(Path(path).expanduser(), dpi=150)
    except OSError as error:
        raise ConfigError(f"plot: {str(path)!r} cannot be written: {error.strerror}") from error


def _curve(axes: Axes, report: Report) -> None:
    columns = report.plot()
    axes.plot(columns["hit_rate"], columns["precision"], label="by threshold")
    if report.hits:
        axes.plot(report.hit_rate.value, report.precision.value, "o", label="as configured")
    axes.set(xlabel="hit rate", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"{report.lookups} lookups ({report.source})")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
