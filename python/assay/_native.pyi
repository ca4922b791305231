from collections.abc import Callable, Sequence

VERSION: str

def run(
    args: Sequence[str],
    observer: Callable[[str, str, float | None, float | None], object] | None = None,
) -> tuple[int, str]: ...
def set_threads(count: int) -> tuple[int, str]: ...
def main(args: Sequence[str]) -> int: ...
