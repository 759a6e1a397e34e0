"""Every task of the page, done in a browser: with a mouse, by keyboard alone, and the first six with scripts off."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests import tasks
from tests.browser import Place, needs_chromium
from tests.hands import Keyboard, Mouse
from tests.tasks import FIRST_SIX, TASKS, Task

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium, pytest.mark.timeout(180)]


def some_by_day(chosen: Sequence[Task], *by_day: Task) -> list[Any]:
    """The tasks as parameters: these in every run, the others at night."""
    return [pytest.param(task, marks=() if task in by_day else pytest.mark.night, id=task.__name__) for task in chosen]


@pytest.mark.parametrize("task", some_by_day(TASKS, tasks.move_in_from_a_file, tasks.turn_the_keys))
async def test_every_task_is_done(place: Place, tmp_path: Path, task: Task) -> None:
    await task(Mouse(), place, tmp_path)


@pytest.mark.parametrize("task", some_by_day(TASKS, tasks.say_hello))
async def test_every_task_is_done_by_keyboard_alone(place: Place, tmp_path: Path, task: Task) -> None:
    await task(Keyboard(), place, tmp_path)


@pytest.mark.parametrize("task", some_by_day(FIRST_SIX, tasks.make_a_token))
async def test_the_first_six_tasks_are_done_without_scripts(place: Place, tmp_path: Path, task: Task) -> None:
    await task(Mouse(scripts=False), place, tmp_path)
