"""What a practice OpenAI-compatible server serves and has seen."""

from dataclasses import dataclass, field

from tests.fakes.neighbour import NeighbourState

DEFAULT_MODEL = "practice-7b"


@dataclass(kw_only=True)
class OpenAIState(NeighbourState):
    """The settings and the record of one server.

    As with vLLM the served names are aliases of one model: any of them is
    accepted and every answer bears the first.
    """

    version: str = "0.32.0"
    served: list[str] = field(default_factory=lambda: [DEFAULT_MODEL])
    root: str = ""  # what it was started with; empty: a folder called like the first
    api_key: str | None = None
    max_model_len: int = 4096
    # How it bears what a trial asks: a template without a system role (400), JSON that
    # is none, tools as `refused` (no server flags, 400), `ignored` or `called`.
    system_role: bool = True
    valid_json: bool = True
    tools: str = "called"
    memory_bytes: int = 600 * 2**20  # of the parent alone, as vLLM tells it
    generated_tokens: int = 0
    prompt_tokens: int = 0
    is_healthy: bool = True  # False plays a dead engine: /health 503, the rest 500

    @property
    def running(self) -> int:
        """Requests in work, besides the one that asks."""
        return max(0, self.in_flight - 1)

    def model_names(self) -> list[str]:
        return list(self.served)

    def add_model(self, name: str) -> None:
        if name not in self.served:
            self.served.append(name)

    def remove_model(self, name: str) -> None:
        if name in self.served:
            self.served.remove(name)
