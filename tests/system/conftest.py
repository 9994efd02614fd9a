"""The whole platform, once per test run: real servers, every service a process of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.fetch import Programs
from deploy.local.keys import issue_keys
from deploy.local.platform import Platform


@pytest.fixture(scope="session")
async def running_platform(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """The platform of this run; tests take `platform`, which makes sure that it is whole."""
    platform = Platform(tmp_path_factory.mktemp("platform"), programs=programs, for_tests=True)
    await platform.start()
    yield platform
    await platform.stop()


@pytest.fixture
async def platform(running_platform: Platform) -> AsyncIterator[Platform]:
    """The platform with every part ready, before the test and after it, however many parts the test killed.

    `platform.url` is its one origin. `platform.process(name)` is a part's process (`.kill()`, `.freeze()`, `.thaw()`);
    names are `kafka`, `mongo`, `gateway` and those of `deploy.local.services`. What is killed is started again at once;
    `async with platform.held_down(name)` keeps it down. A test uses a challenge and teams of its own.
    """
    await running_platform.wait_ready()
    yield running_platform
    await running_platform.wait_ready()


@pytest.fixture(scope="session")
async def keys(running_platform: Platform) -> dict[str, str]:
    """One API key for each of organiser, operator, sponsor and team."""
    return await issue_keys(running_platform)
