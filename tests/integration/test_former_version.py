"""A store of the version before the redo log opens, has lost nothing, and goes on."""

import json
from pathlib import Path

from tests.torture import Doomed
from tests.torture.former import of_the_former_version
from tests.torture.kills import outcome
from tests.torture.victim import live


def test_a_store_without_a_redo_log_goes_on_with_one(tmp_path: Path) -> None:
    data = tmp_path / "data"
    books = of_the_former_version(data)
    ops = [["rename", "a1", "later"], ["rekey", "a2", "sk-later-0123456789"], ["move", "a6", "a1"], ["rotate"]]
    for ending in ("killed", "closed"):
        process = Doomed(live, json.dumps({"data": str(data)}))
        assert process.hear_until("ready"), process.heard
        assert f"state {books.text}" in process.heard
        assert not any(word.startswith(("flaw", "unreadable", "sealed")) for word in process.heard)
        assert (data / "db.redo").exists()
        assert not (data / "audit-head").exists()
        process.tell(json.dumps({"ops": ops}))
        process.hear_until("more")
        if ending == "killed":
            process.kill_after(0)
        else:
            process.tell("null")
            process.end()
        assert [outcome(process.heard, number) for number in range(len(ops))] == ["done"] * len(ops)
        for op in ops:
            books.apply(op)
        ops = [["rename", "a1", "last"]]
