"""The one shape of this project's tool errors."""


class ToolError(Exception):
    """Something that the user can mend: what was wrong, and what to do about it."""

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem}\n  -> {fix}")
        self.problem = problem
        self.fix = fix
