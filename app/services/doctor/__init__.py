"""The doctor: looking for what is broken, mending it, and putting back what a server lost."""

from keycairn.app.services.doctor.checkup import Checkup
from keycairn.app.services.doctor.findings import Finding
from keycairn.app.services.doctor.lost_commits import Replay, Replayed
from keycairn.app.services.doctor.repair import Repair, Repaired

__all__ = ["Checkup", "Finding", "Repair", "Repaired", "Replay", "Replayed"]
