"""The audit log: the journal that writes it, its chain and proofs, counters, deletions and retention."""

from keycairn.app.services.audit.chain import Flaw, FlawKind
from keycairn.app.services.audit.counters import AuditCounters
from keycairn.app.services.audit.deletions import DELETED_HERE, Deleted, Deletions, deletion_details
from keycairn.app.services.audit.journal import Journal
from keycairn.app.services.audit.log import AuditLog, ChainReport
from keycairn.app.services.audit.record_proofs import RecordProofs
from keycairn.app.services.audit.refused_attempts import ANONYMOUS
from keycairn.app.services.audit.retention import Keep, Retention
from keycairn.app.services.audit.watch import AuditWatch

__all__ = [
    "ANONYMOUS",
    "DELETED_HERE",
    "AuditCounters",
    "AuditLog",
    "AuditWatch",
    "ChainReport",
    "Deleted",
    "Deletions",
    "Flaw",
    "FlawKind",
    "Journal",
    "Keep",
    "RecordProofs",
    "Retention",
    "deletion_details",
]
