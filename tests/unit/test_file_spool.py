"""Spools in files: without a name, for this user alone, and gone when they are closed."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.bodies import open_files

from keycairn.adapters.file_spool import FileSpools
from keycairn.domain.errors import SpoolError


@pytest.fixture
def spools(tmp_path: Path) -> Iterator[FileSpools]:
    spools = FileSpools(tmp_path)
    yield spools
    spools.close()
    assert not open_files(tmp_path)


async def test_what_is_written_is_read(spools: FileSpools, tmp_path: Path) -> None:
    spool = spools.open()
    assert not open_files(tmp_path)

    await spool.write(0, b"0123456789")
    await spool.write(5, b"abcdefghij")

    assert await spool.read(3, 9) == b"34abcdefg"
    assert not list(tmp_path.iterdir())
    assert open_files(tmp_path) == [0o600]
    spool.close()
    spool.close()
    with pytest.raises(SpoolError):
        await spool.write(0, b"x")
    with pytest.raises(SpoolError):
        await spool.read(0, 1)


async def test_what_was_not_written_cannot_be_read(spools: FileSpools) -> None:
    spool = spools.open()
    with pytest.raises(SpoolError):
        await spool.read(0, 1)
    await spool.write(0, b"x")
    with pytest.raises(SpoolError):
        await spool.read(0, 2)
    spool.close()


async def test_a_disk_that_takes_nothing_is_an_error_of_its_own(tmp_path: Path) -> None:
    gone = FileSpools(tmp_path / "gone")
    with pytest.raises(SpoolError):
        await gone.open().write(0, b"x")
    gone.close()


async def test_it_can_be_closed_while_it_is_written(spools: FileSpools) -> None:
    for _ in range(20):
        spool = spools.open()
        writes = [asyncio.create_task(spool.write(at, bytes(2**16))) for at in range(0, 2**19, 2**16)]
        await asyncio.sleep(0.001)
        writes[-1].cancel()
        spool.close()
        await asyncio.gather(*writes, return_exceptions=True)


async def test_it_can_be_closed_after_all_others(tmp_path: Path) -> None:
    spools = FileSpools(tmp_path)
    spool = spools.open()
    await spool.write(0, b"x")
    spools.close()
    spool.close()
    assert not open_files(tmp_path)
