"""`random` stand-in: RandomPassword and RandomBytes as in the official plugin 4.21.4. Every input replaces.

Left out: `bcryptHash` of RandomPassword (it would need a library of its own). Different: the id of RandomBytes is
"none"; the official plugin repeats the secret bytes there, in plain text.
"""

from __future__ import annotations

import base64
import importlib.metadata
import secrets
import string
from collections.abc import Iterable
from typing import ClassVar

from toolchain.plugins.provider import Provider, ResourceType, serve
from toolchain.plugins.schema import Values, flag, text, text_map, whole

CLASSES = {
    "lower": string.ascii_lowercase,
    "upper": string.ascii_uppercase,
    "numeric": string.digits,
    "special": "!@#$%&*()-_=+[]{}<>:?",
}
MINIMUM = {name: f"min{name.capitalize()}" for name in CLASSES}
COMMON = {"length": whole(new=True, required=True, least=1), "keepers": text_map(new=True)}


class RandomBytes(ResourceType):
    """Random bytes, in base64 and hexadecimal. `length` is in bytes."""

    inputs = COMMON
    outputs: ClassVar[tuple[str, ...]] = ("base64", "hex")
    autonamed = False

    def create(self, inputs: Values, _timeout: float) -> tuple[str, Values]:
        data = secrets.token_bytes(inputs["length"])
        return "none", {"base64": base64.b64encode(data).decode(), "hex": data.hex()}

    def read(self, _identity: str, inputs: Values, outputs: Values) -> tuple[Values, Values] | None:
        return inputs, {name: outputs[name] for name in self.outputs}

    def delete(self, _identity: str, _state: Values) -> None:
        """Nothing exists outside the state."""


class RandomPassword(RandomBytes):
    """A string from the chosen classes of characters, at least `min…` of each. `length` is in characters."""

    inputs = {
        **COMMON,
        "overrideSpecial": text(new=True),
        **{name: flag(new=True, default=True) for name in CLASSES},
        **{name: whole(new=True, default=0, least=0) for name in MINIMUM.values()},
    }
    outputs = ("result",)

    def check(self, inputs: Values) -> Iterable[tuple[str, str]]:
        least = [inputs[name] for name in MINIMUM.values()]
        if all(isinstance(count, int) for count in [*least, inputs["length"]]) and sum(least) > inputs["length"]:
            yield "length", "is less than the sum of the minimum counts"

    def create(self, inputs: Values, _timeout: float) -> tuple[str, Values]:
        classes = {**CLASSES, "special": inputs.get("overrideSpecial") or CLASSES["special"]}
        chosen = "".join(characters for name, characters in classes.items() if inputs[name])
        result = [secrets.choice(classes[name]) for name in classes for _ in range(inputs[MINIMUM[name]])]
        result += [secrets.choice(chosen) for _ in range(inputs["length"] - len(result))]
        secrets.SystemRandom().shuffle(result)
        return "none", {"result": "".join(result)}


class RandomProvider(Provider):
    """The provider; it has no configuration."""

    name = "random"
    types = {
        "random:index/randomPassword:RandomPassword": RandomPassword(),
        "random:index/randomBytes:RandomBytes": RandomBytes(),
    }


def main() -> None:
    """Entry point of `pulumi-resource-random`."""
    serve(RandomProvider(importlib.metadata.version("pulumi_random")))
