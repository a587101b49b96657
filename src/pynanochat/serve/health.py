"""Health: whether the server does what it is there for, which takes more than answering this question."""

from __future__ import annotations

import time
from typing import Any

from pynanochat.serve.server import Server


class Health:
    """Watches the steps of every engine; a model that has work and makes no step is stuck."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._steps: dict[str, int] = {}
        self._moved: dict[str, float] = {}

    def look(self) -> None:
        """Note what has moved; to be called often against `stuck_seconds`."""
        now = time.monotonic()
        for name, model in self._server.models.items():
            engine = model.engine.statistics
            if not engine.pending or engine.steps != self._steps.get(name):
                self._steps[name], self._moved[name] = engine.steps, now

    def report(self) -> tuple[int, dict[str, Any]]:
        """The status, 200 or 503, and what there is to say: the reason, and each model's progress."""
        self.look()
        server, now = self._server, time.monotonic()
        problems: list[str] = [] if server.state == "ready" else [server.state]
        models: dict[str, Any] = {}
        for name, model in server.models.items():
            engine = model.engine.statistics
            still = now - self._moved[name]
            stuck = still > server.limits.stuck_seconds
            problems += ["engine_failed"] * bool(engine.failed) + ["no_progress"] * stuck
            work = "busy" if engine.pending else "idle"
            models[name] = {
                "status": "failed" if engine.failed else "no_progress" if stuck else work,
                "running": engine.running, "waiting": engine.waiting, "steps": engine.steps,
                "generated_tokens": engine.generated_tokens,
                "seconds_without_progress": round(still, 3) if engine.pending else 0.0}
        return 503 if problems else 200, {"status": problems[0] if problems else "ok", "models": models}
