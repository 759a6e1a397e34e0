"""Looking for trouble over HTTP."""

from collections.abc import Sequence

from litestar import Controller, Response, get, post
from litestar.params import JSONBody
from msgspec import Struct

from keycairn.app.services.doctor import Finding, Repaired, Replayed
from keycairn.app.web.auth import Options
from keycairn.app.web.inputs import TheCaller, TheKeycairn
from keycairn.app.web.paging import listed
from keycairn.domain.token import Scope

KEEPER: Options = {"scope": Scope.ADMIN, "installation": True}


class Discarding(Struct, frozen=True, forbid_unknown_fields=True):
    """`record` is the kind and key of a record, as a finding has it under `records`."""

    record: str


class CheckupController(Controller):
    """What is broken, and mending it."""

    path = "/api/checkup"
    tags: Sequence[str] | None = ("Checkup",)

    @get("/", opt=KEEPER, operation_id="check_records", summary="Look for trouble among the records")
    async def report(self, keycairn: TheKeycairn) -> Response[list[Finding]]:
        """Tries every secret, follows every link, walks the audit log; changes nothing. What is broken comes first."""
        return await listed(await keycairn.checkup.report(), lambda finding: finding)

    @post("/fix", opt=KEEPER, status_code=200, operation_id="repair_records", summary="Mend what can be mended safely")
    async def fix(self, keycairn: TheKeycairn, caller: TheCaller) -> Repaired:
        """Writes a backup on the server first. Deletes nothing; what needs a decision is listed under `findings`."""
        return await keycairn.repair.fix(by=caller)

    @post(
        "/discard",
        opt=KEEPER,
        status_code=200,
        operation_id="discard_record",
        summary="Remove a record that is refused or cannot be read",
    )
    async def discard(self, keycairn: TheKeycairn, caller: TheCaller, data: JSONBody[Discarding]) -> Discarding:
        """For good, and only one that a finding of `GET /api/checkup` names (`record_forged`, `record_rolled_back`).

        It works for nobody before either. The audit log keeps that it was there. Answers what it removed.
        """
        await keycairn.repair.discard(data.record, by=caller)
        return data

    @post(
        "/replay",
        opt=KEEPER,
        status_code=200,
        operation_id="replay_lost_changes",
        summary="Put back what the database server lost",
    )
    async def replay(self, keycairn: TheKeycairn, caller: TheCaller) -> Replayed:
        """Only a server can lose what it acknowledged. What changed since stays, and is listed under `left`."""
        return await keycairn.replay.run(by=caller)
