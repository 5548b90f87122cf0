"""What the conformance tests share: a home agent with two provisioned nodes."""

import pytest

from conformance.harness import Bed


@pytest.fixture
def bed() -> Bed:
    return Bed()
