"""Progress for whoever watches: a callback, a tqdm bar, or `True` for a bar of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable


@dataclass(frozen=True)
class Progress:
    """How far a call is."""

    #: What is being done, such as `prove`. A call may do one thing after another.
    title: str
    #: The stage of it, such as `commit`; empty before the first.
    stage: str
    #: Share of it that is done, 0 to 1; `None` where it cannot be told.
    share: float | None
    #: Predicted seconds left of it; `None` where they cannot be told.
    left: float | None


@runtime_checkable
class Bar(Protocol):
    """The part of `tqdm.tqdm` that is used."""

    n: float
    total: float | None

    def update(self, n: float = 1) -> Any: ...
    def reset(self, total: float | None = None) -> Any: ...
    def set_description(self, desc: str | None = None, refresh: bool = True) -> Any: ...


#: What functions take as `progress`.
ProgressLike: TypeAlias = "Callable[[Progress], object] | Bar | bool | None"
Observer: TypeAlias = "Callable[[str, str, float | None, float | None], None]"


class _OnBar:
    """Moves a bar. It never goes back within one title, and is full when the work is done."""

    def __init__(self, bar: Bar) -> None:
        self.bar = bar
        self.title = ""
        if bar.total is None:
            bar.total = 100
        self.total = bar.total

    def __call__(self, title: str, stage: str, share: float | None, left: float | None) -> None:
        if title != self.title:
            self.title = title
            self.bar.reset(self.total)
        self.bar.set_description(f"{title}: {stage}" if stage else title, refresh=False)
        # Without a step the bar is drawn all the same: its description changed.
        step = 0.0 if share is None else max(0.0, round(share * self.total - self.bar.n, 2))
        self.bar.update(step)

    def finish(self) -> None:
        self.bar.update(self.total - self.bar.n)


def _own_bar() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError as e:
        raise ImportError("progress=True draws with tqdm: pip install tqdm, or pass a function") from e
    return tqdm(total=100, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}")


@contextmanager
def observe(progress: ProgressLike) -> Iterator[Observer | None]:
    """The function that `_native.run` calls, for what a user gave."""
    if progress is None or progress is False:
        yield None
    elif progress is True:
        with _own_bar() as bar:
            on_bar = _OnBar(bar)
            yield on_bar
            on_bar.finish()
    elif isinstance(progress, Bar):
        on_bar = _OnBar(progress)
        yield on_bar
        on_bar.finish()
    elif callable(progress):
        callback = progress

        def tell(title: str, stage: str, share: float | None, left: float | None) -> None:
            callback(Progress(title, stage, share, left))

        yield tell
    else:
        raise TypeError(f"progress must be a function, a tqdm bar or True, got {type(progress).__name__}")
