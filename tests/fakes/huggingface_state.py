"""What the practice hub is set to: its shelf, its token, its limits."""

import time
from dataclasses import dataclass, field
from typing import ClassVar

from tests.fakes.files import FileDesk
from tests.fakes.huggingface_models import PracticeRepo
from tests.fakes.huggingface_shelf import Shelf
from tests.fakes.neighbour import NeighbourState
from tests.fakes.tiny_model import tiny_files

PRACTICE_TOKEN = "hf_PracticeTokenOfNobodyAtAll0000000"


@dataclass(kw_only=True)
class HubState(NeighbourState):
    """`accepted` are the gated repositories whose licence the token's owner accepted.

    Where files are: `desk.faults` break their bytes, keyed `owner/name/path`;
    `desk.expire_links()` makes every signed address of before answer 403.
    """

    settings: ClassVar[tuple[str, ...]] = (
        *("bytes_per_second", "api_quota", "reset_seconds", "page_size"),
    )

    version: str = "2026-08"
    shelf: Shelf = field(default_factory=Shelf)
    desk: FileDesk = field(default_factory=FileDesk)
    token: str = PRACTICE_TOKEN
    accepted: set[str] = field(default_factory=set)
    api_quota: int = 500  # calls of /api in one window
    reset_seconds: int = 242
    page_size: int = 1000  # of lists and trees at most
    has_two_origins: bool = True  # big files are redirected to another host
    has_small_redirects: bool = False  # small ones are 307 to /api/resolve-cache first
    window_seconds: float = 300
    spent: int = 0
    window_began: float = 0  # by time.monotonic()

    @property
    def bytes_per_second(self) -> float:
        return self.desk.bytes_per_second

    @bytes_per_second.setter
    def bytes_per_second(self, value: float) -> None:
        self.desk.bytes_per_second = value or 0

    @property
    def remaining(self) -> int:
        return max(0, self.api_quota - self.spent)

    def model_names(self) -> list[str]:
        return [repo.id for repo in self.shelf]

    def add_model(self, name: str) -> None:
        self.shelf.put(name, tiny_files())

    def remove_model(self, name: str) -> None:
        self.shelf.discard(name)

    def may_read(self, repo: PracticeRepo, token: str) -> bool:
        """Whether the repository exists for whoever has this token."""
        return not repo.is_private or token == self.token

    def may_fetch(self, repo: PracticeRepo, token: str) -> bool:
        return not repo.gated or (token == self.token and repo.id in self.accepted)

    def spend(self) -> bool:
        """Count one call of the API; False when the window has none left."""
        if time.monotonic() - self.window_began > self.window_seconds:
            self.spent, self.window_began = 0, time.monotonic()
        if self.remaining == 0:
            return False
        self.spent += 1
        return True
