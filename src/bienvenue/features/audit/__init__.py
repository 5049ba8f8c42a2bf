"""audit: every event a row, sealed into a chain, so that who changes the past is found out.

A row is written in the transaction of its event and waits for nobody: it has no number in a
sequence. Later a sealer assigns rows to a batch and seals the batch, together with the seal before
it, under a key that is not in the database. Personal values stand apart behind salted commitments:
they can be erased, and the chain still verifies (ASVS 16.2, 16.3, 16.4.2).
"""

from bienvenue.features.audit import commands as commands
from bienvenue.features.audit import pages as pages
from bienvenue.features.audit.models import AuditRow, Entry, Personal, SealedBatch
from bienvenue.features.audit.operations import Audit
from bienvenue.features.audit.verification import Report

__all__ = ["Audit", "AuditRow", "Entry", "Personal", "Report", "SealedBatch"]
