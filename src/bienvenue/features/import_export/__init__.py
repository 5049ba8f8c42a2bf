"""import_export: users are imported from another system, and all of them can be exported again.

A user is a line of CSV, a line of JSON or a row of a query. Each line creates a whole account or is
refused with a reason; a batch is one transaction, and importing the same file again changes
nothing. Password hashes are imported as they are, and verified as the other system did until their
owner signs in (`foreign_hashes`).
"""

from bienvenue.features.import_export import commands as commands
from bienvenue.features.import_export.errors import UnreadableSource
from bienvenue.features.import_export.models import ImportedUser
from bienvenue.features.import_export.operations import ImportExport, LineResult, Report

__all__ = ["ImportExport", "ImportedUser", "LineResult", "Report", "UnreadableSource"]
