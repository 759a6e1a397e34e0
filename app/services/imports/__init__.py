"""Moving in: rows of files and the environment become credentials, models and defaults."""

from keycairn.app.services.imports.environment import EnvironmentAccounts, Migration, MigrationEntry, Source, Step
from keycairn.app.services.imports.importer import Importer, merged
from keycairn.app.services.imports.mapped_rows import RowMapper
from keycairn.app.services.imports.recognition import HERE

__all__ = [
    "HERE",
    "EnvironmentAccounts",
    "Importer",
    "Migration",
    "MigrationEntry",
    "RowMapper",
    "Source",
    "Step",
    "merged",
]
