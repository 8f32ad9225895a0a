"""Whether dataclasses that were filled from a file hold values of the types of their fields."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_PLAIN: Mapping[Any, tuple[type, ...]] = {float: (float, int), int: (int,), str: (str,), bool: (bool,)}


def check_types(value: Any, place: str = "") -> None:
    """Look at every field of a dataclass and of those inside of it; numbers must be finite.

    Args:
        place: the dotted name of the value itself.

    Raises:
        TypeError: a field holds another type; the message names it.
    """
    kind: Any = type(value)
    for name, hint in _hints(kind).items():
        _check(getattr(value, name), hint, f"{place}.{name}".lstrip("."))


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _check(value: Any, hint: Any, place: str) -> None:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if not (value is None and NoneType in inner):
            _check(value, next(kind for kind in inner if kind is not NoneType), place)
    elif origin is tuple:
        whole = isinstance(value, tuple) and (inner[-1] is ... or len(value) == len(inner))
        if not whole:
            raise TypeError(f"{place} is no list of what it holds")
        for number, entry in enumerate(value):
            _check(entry, inner[0] if inner[-1] is ... else inner[number], f"{place}.{number}")
    elif origin is Literal:
        if value not in inner:
            raise TypeError(f"{place} is none of {', '.join(map(str, inner))}")
    elif origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise TypeError(f"{place} is no table")
        for key, entry in value.items():
            _check(entry, inner[1], f"{place}.{key}")
    elif dataclasses.is_dataclass(hint):
        if not isinstance(value, hint):  # type: ignore[arg-type]
            raise TypeError(f"{place} is no {getattr(hint, '__name__', hint)}")
        check_types(value, place)
    else:
        wanted = _PLAIN[hint]
        if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
            raise TypeError(f"{place} is no {hint.__name__}")
        if isinstance(value, float) and not math.isfinite(value):
            raise TypeError(f"{place} is not finite")
