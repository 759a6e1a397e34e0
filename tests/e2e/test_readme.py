import re
from pathlib import Path

import pytest
from tests.served import serving
from tests.shell import Shell

from keycairn.testing.openai_server import OpenAIServer

README = (Path(__file__).parents[2] / "README.md").read_text()
KEY = "sk-readme-0123456789"


async def test_the_python_lines_of_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(code) == 1
    names: dict[str, object] = {}
    exec(compile(code[0].replace("\nasyncio.run(main())", ""), "README.md", "exec"), names)  # noqa: S102  # our own lines

    async with OpenAIServer(key=KEY) as server:
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.chdir(tmp_path)
        await names["main"]()  # type: ignore[operator]

    assert "Hello!" in capsys.readouterr().out
    assert (tmp_path / "keycairn-data" / "root-key").stat().st_mode & 0o777 == 0o600


async def test_the_commands_of_the_readme_run_as_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [re.split("[#>]", line)[0].split()[2:] for line in README.splitlines() if line.startswith("$ keycairn ")]
    assert len(lines) > 12
    monkeypatch.chdir(tmp_path)
    for name in ("home", "new"):
        (tmp_path / f"{name}.key").write_text(f"{KEY}-{name}\n")
    shell = Shell(tmp_path)
    async with OpenAIServer(key=KEY) as server:
        shell.variables |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url}
        async with serving(shell):
            for line in lines:
                # The stand-in is not at OpenAI's own address, which makes its account one of another provider.
                here = (
                    ["openai_compatible", "--set", f"base_url={server.url}"] if "add" in line else ["openai_compatible"]
                )
                words = [word for each in line for word in (here if each == "openai" else [each])]
                told = await shell.run(*words)
                assert told.exit_code == 0, shell.said
    assert KEY not in shell.said


def test_every_setting_is_in_the_readme() -> None:
    from keycairn.app.settings import HELP  # noqa: PLC0415

    for name in HELP:
        assert f"KEYCAIRN_{name}`" in README or f"`_{name.removeprefix('DATABASE_')}`" in README, name
