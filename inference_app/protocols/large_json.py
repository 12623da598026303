"""Large requests of V2 in JSON: their flat lists of floats to arrays, without a Python object for each number.

orjson takes twice as long, and what it makes of a text is only there to be packed. Whatever is not a plain request here
is left to it, so that there is one wording of every error.
"""

from typing import Any, cast

import numpy as np
import simdjson

from inference_app.model import Datatype

WORTHWHILE = 4096
"""Bytes of a text from which on this is faster by more than it takes to find that a request is not plain."""

_MOST_LISTS = 100  # nested data have many more
# Its memory is used again: a large text takes many pages, and new ones cost a third of the whole. It refuses to read a
# text while anything of the last one is in use.
_parser = simdjson.Parser()
_FLOATS = ("FP16", "FP32", "FP64")


def read(text: bytes | bytearray) -> dict[str, Any] | None:
    """A request as `json_object` gives it, but that each input's data are an array of its datatype.

    Returns:
        None where the text is no such request, or may be wrong in any way.
    """
    lists = _lists(text)
    if lists > _MOST_LISTS:
        return None
    try:
        document = _parser.parse(text)
        if not isinstance(document, simdjson.Object):
            return None
        fields = _fields(document)
        inputs = fields.get("inputs")
        if not isinstance(inputs, simdjson.Array):
            return None
        tensors = [_tensor(item) for item in inputs]
    except (ValueError, TypeError, RuntimeError):
        return None
    # A buffer does not tell whether lists were nested. If not, each input has two (shape, data), and `inputs` is one.
    if lists != 1 + 2 * len(tensors) + ("outputs" in fields):
        return None
    return {**{name: _plain(value) for name, value in fields.items() if name != "inputs"}, "inputs": tensors}


def _lists(text: bytes | bytearray) -> int:
    """How many lists begin in a text, as far as it matters. Looking for each is ten times as fast as counting."""
    found, place = 0, text.find(b"[")
    while place >= 0 and found <= _MOST_LISTS:
        found, place = found + 1, text.find(b"[", place + 1)
    return found


def _fields(document: simdjson.Object) -> dict[str, Any]:
    fields = {name: document[name] for name in document}
    if len(fields) != len(document):
        raise ValueError("a name is there twice")
    return fields


def _tensor(item: object) -> dict[str, Any]:
    fields = _fields(item) if isinstance(item, simdjson.Object) else {}
    data, datatype = fields.pop("data", None), fields.get("datatype")
    if not isinstance(data, simdjson.Array) or datatype not in _FLOATS:
        raise ValueError("not a tensor of floats")
    tensor = {name: _plain(value) for name, value in fields.items()}
    with np.errstate(over="ignore"):
        tensor["data"] = np.frombuffer(data.as_buffer(of_type="d")).astype(Datatype(datatype).dtype)
    if not np.isfinite(tensor["data"]).all():
        raise ValueError("a number does not fit")
    return tensor


def _plain(value: object) -> object:
    if isinstance(value, simdjson.Object):
        return value.as_dict()
    if isinstance(value, simdjson.Array):
        return cast("list[object]", value.as_list())  # pyright: ignore[reportUnknownMemberType]
    return value
