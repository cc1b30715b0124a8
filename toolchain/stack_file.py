"""What a stack file says that commands before the program need to know, typed as the program reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from config.model import Backups, Environment
from config.places import Platform
from toolchain.console import ToolchainError
from toolchain.paths import ROOT

_PLATFORM: TypeAdapter[Platform] = TypeAdapter(Annotated[Platform, Field(discriminator="kind")])
_ENVIRONMENT: TypeAdapter[Environment] = TypeAdapter(Environment)


@dataclass(frozen=True)
class Declared:
    """A part of one stack's configuration."""

    environment: Environment
    platform: Platform
    backups: Backups


def read(stack: str) -> Declared:
    """What the stack file says.

    Raises ToolchainError where that cannot be read; the program itself says what is wrong with it.
    """
    file = ROOT / f"Pulumi.{stack}.yaml"
    try:
        config: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))["config"]
        return Declared(
            environment=_ENVIRONMENT.validate_python(config["ai-platform:environment"]),
            platform=_PLATFORM.validate_json(json.dumps(config["ai-platform:platform"])),
            backups=Backups.model_validate_json(json.dumps(config.get("ai-platform:backups") or {})),
        )
    except FileNotFoundError as error:
        raise ToolchainError(f"there is no {file.name}; nothing was changed") from error
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError, ValidationError) as error:
        advice = f"`make preview STACK={stack}` names each problem"
        raise ToolchainError(f"{file.name} is not valid: {advice}; nothing was changed") from error
