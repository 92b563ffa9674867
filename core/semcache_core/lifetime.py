"""A cache as an object of Python's: closed by `with`, pickled by its arguments, never copied.

A base class, since Python looks special methods up on the class.
"""

from __future__ import annotations

from abc import abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class Lifetime:
    """What opens with its constructor, and is to be closed."""

    _made_with: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made._made_with = (args, kwargs)
        return made

    @abstractmethod
    def close(self) -> None:
        """Release what is held; a second call does nothing."""

    @abstractmethod
    async def aclose(self) -> None:
        """As `close`, on the event loop."""

    def __reduce__(self) -> Any:
        """Opened anew where it is unpickled, for worker processes."""
        args, kwargs = self._made_with
        if not any(args) and not any(kwargs.get(name) for name in ("path", "entries", "url")):
            raise TypeError("a cache in memory cannot be pickled: give it a path")
        return _opened, (type(self), args, kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Itself: who copies a model that holds a cache means the same cache."""
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _opened(kind: type[T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> T:
    return kind(*args, **kwargs)
