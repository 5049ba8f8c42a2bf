"""audit: a log with a row for each event, sealed in batches, so that later changes are detected.

A row is written in the transaction of its event and waits for no other writer, because it has no
number in the chain yet. Later a worker assigns rows to a batch and seals it, together with the MAC
of the batch before, under a key that is not in the database. Personal values are stored apart
behind salted commitments: they can be erased, and the chain still verifies (ASVS 16.2, 16.3,
16.4.2).
"""

from bienvenue.features.audit import commands as commands
from bienvenue.features.audit.models import AuditRow, Entry, Personal, SealedBatch
from bienvenue.features.audit.operations import Audit
from bienvenue.features.audit.verification import Report

__all__ = ["Audit", "AuditRow", "Entry", "Personal", "Report", "SealedBatch"]
