"""The one error of this package."""


class PublishError(Exception):
    """Nothing was published, and no alias was moved. The message says what was wrong, where, and what to do."""

    def __init__(self, what: str, *, where: str, remedy: str) -> None:
        super().__init__(f"{where}: {what}; {remedy}")
