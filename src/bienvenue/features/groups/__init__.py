"""groups: names on an account, by which an application says who may do what.

The service gives a group no meaning of its own. A membership is read at each request that asks for
it, so removing one has effect at once, in every open session.
"""

from bienvenue.features.groups import commands as commands
from bienvenue.features.groups.errors import GroupRequired, MalformedGroup
from bienvenue.features.groups.operations import Groups

__all__ = ["GroupRequired", "Groups", "MalformedGroup"]
