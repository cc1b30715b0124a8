"""What the tests of the real CLI share."""

from __future__ import annotations

import pytest

from tests.engine.project import Project


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A stack that nothing was deployed to."""
    return Project.make(tmp_path_factory.mktemp("project"))
