"""The refusal of a whole import or export; a wrong line is a result and no refusal."""

from bienvenue.feature import Refusal


class UnreadableSource(Refusal):
    """The file, the database or its columns cannot be read, or the file cannot be written."""

    status = 422
    code = "unreadable_source"
    message = "This cannot be read: {why}."

    def __init__(self, why: str) -> None:
        """Take the reason, without any content of the source."""
        super().__init__(why=why)
