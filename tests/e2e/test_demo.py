import asyncio
import sys
from pathlib import Path

import pytest

STORY = Path(__file__).parents[2] / "demo/story.py"


@pytest.mark.night
async def test_every_step_of_the_story_is_true() -> None:
    story = await asyncio.create_subprocess_exec(
        sys.executable, str(STORY), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await story.communicate()
    assert story.returncode == 0, said.decode()
    assert said.decode().splitlines()[-1] == "All of it is true."
