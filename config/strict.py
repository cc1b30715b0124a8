"""The base of every type of the stack file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

MIB = 1024**2
GIB = 1024**3


class Model(BaseModel):
    """Strict and frozen: unknown keys and near misses of a type are errors. Keys are camelCase."""

    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )
