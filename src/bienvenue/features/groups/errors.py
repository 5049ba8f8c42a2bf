"""The refusals of groups."""

from bienvenue.feature import Refusal


class GroupRequired(Refusal):
    """The user is signed in and is not in a group that this needs."""

    status = 403
    code = "group_required"
    heading = "You don't have access"
    message = "Your account doesn't have access to this page."


class MalformedGroup(Refusal):
    """A group cannot have this name."""

    code = "malformed_group"
    message = "A group has a name of 1 to 64 letters, digits, dots, hyphens and underscores."
