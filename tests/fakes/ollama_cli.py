#!/usr/bin/env python3
"""A practice `ollama` program: `pull NAME`, `rm NAME`, `list`; OLLAMA_HOST says where.

    OLLAMA_CLI="python tests/fakes/ollama_cli.py" for whoever needs the real one

It enters by the control door, so that it works where the HTTP API is told to refuse.
Progress goes to stderr as the real one draws it, bars over bars; `--look dots` is an
older one. Only the standard library, so it also runs by its path alone.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

DOOR = "/__practice__/api"
DEFAULT_HOST = "127.0.0.1:11434"
NOT_RUNNING = "could not connect to ollama server, run 'ollama serve' to start it"
BAR_WIDTH = 20
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
REDRAW_SECONDS = 0.1
UNITS = (("GB", 10**9), ("MB", 10**6), ("KB", 10**3))


class Failure(Exception):
    """What the program says after `Error:`; it ends with 1."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="ollama", description="A practice Ollama.")
    parser.add_argument("--look", choices=("bars", "dots"), default="bars")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("pull", "rm"):
        verbs.add_parser(verb).add_argument("name")
    verbs.add_parser("list")
    chosen = parser.parse_args()
    try:
        if chosen.verb == "pull":
            pull(chosen.name, Screen(chosen.look))
        elif chosen.verb == "rm":
            remove(chosen.name)
        else:
            show_list()
    except Failure as failure:
        print(f"Error: {failure}", file=sys.stderr)
        return 1
    except (OSError, HTTPException):
        print(f"Error: {NOT_RUNNING}", file=sys.stderr)
        return 1
    return 0


def pull(name: str, screen: "Screen") -> None:
    answer = ask("POST", "/pull", {"model": name})
    try:
        for line in lines_of(answer):
            if "error" in line:
                raise Failure(line["error"])
            screen.tell(line)
    finally:
        screen.close()


def remove(name: str) -> None:
    ask("DELETE", "/delete", {"model": name}).read()
    print(f"deleted '{name}'")


def show_list() -> None:
    rows = json.loads(ask("GET", "/tags").read())["models"]
    table = [("NAME", "ID", "SIZE", "MODIFIED")]
    for row in rows:
        size = "-" if row.get("remote_host") else human(row["size"])
        table.append((row["name"], row["digest"][:12], size, "Less than a second ago"))
    widths = [max(map(len, column)) + 4 for column in zip(*table, strict=True)]
    for cells in table:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        print("".join(padded).rstrip())


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> HTTPResponse:
    """Return the answer; raises Failure with the server's sentence when it refuses."""
    given = os.environ.get("OLLAMA_HOST") or DEFAULT_HOST
    place = urlsplit(given if "//" in given else f"http://{given}")
    connection = HTTPConnection(place.hostname or "127.0.0.1", place.port or 11434)
    connection.request(method, DOOR + path, json.dumps(body or {}))
    answer = connection.getresponse()
    if answer.status >= 400:
        raise Failure(json.loads(answer.read())["error"])
    return answer


def lines_of(answer: HTTPResponse) -> Iterator[dict[str, Any]]:
    for raw in answer:
        yield json.loads(raw)


class Screen:
    """The bars on stderr, all drawn anew each time as on a terminal."""

    def __init__(self, look: str) -> None:
        self._is_old = look == "dots"
        self._bars: dict[str, Bar] = {}
        self._drawn, self._drawn_at = 0, 0.0

    def tell(self, line: dict[str, Any]) -> None:
        status = line["status"]
        is_new = status not in self._bars
        if is_new and self._is_old:
            self._leave_line()
        bar = self._bars.setdefault(status, Bar(status, self._is_old))
        bar.update(line)
        for other in self._bars.values():
            other.is_over |= other is not bar
        if is_new or time.monotonic() - self._drawn_at >= REDRAW_SECONDS:
            self._draw()

    def _leave_line(self) -> None:
        """The older look draws one line only, and goes on below it."""
        for bar in list(self._bars.values())[-1:]:
            bar.is_over = True
            sys.stderr.write(f"\r{bar}\x1b[K\n")

    def close(self) -> None:
        for bar in self._bars.values():
            bar.is_over = True
        self._draw()
        sys.stderr.write("\n")
        sys.stderr.flush()

    def _draw(self) -> None:
        bars = list(self._bars.values())
        if self._is_old:
            sys.stderr.write(f"\r{bars[-1]}\x1b[K" if bars else "")
        else:
            up = "\x1b[A" * (self._drawn - 1)
            drawn = "\n".join(f"{bar}\x1b[K" for bar in bars)
            sys.stderr.write(f"\x1b[?2026h\x1b[?25l{up}\x1b[1G{drawn}")
            sys.stderr.write("\x1b[?25h\x1b[?2026l")
        sys.stderr.flush()
        self._drawn, self._drawn_at = len(bars), time.monotonic()


class Bar:
    """One line: a status with a spinner, or a layer with its bar."""

    def __init__(self, status: str, is_old: bool) -> None:
        self._status, self._is_old = status, is_old
        self._total, self._completed, self._first = 0, 0, 0
        self._began = time.monotonic()
        self.is_over = False

    def update(self, line: dict[str, Any]) -> None:
        self._completed = line.get("completed", 0)
        if not self._total:
            self._first = self._completed
        self._total = line.get("total", 0)

    def __str__(self) -> str:
        if not self._total:
            turn = int(time.monotonic() * 10) % len(SPINNER)
            return f"{self._status} " + ("" if self.is_over else f"{SPINNER[turn]} ")
        done = self._total if self.is_over else self._completed
        share = done / self._total
        full = int(share * BAR_WIDTH)
        bar = "▕" + "█" * full + " " * (BAR_WIDTH - full) + "▏"
        mark = "... " if self._is_old else ": "
        return f"{self._status}{mark}{share:4.0%} {bar} {self._figures(done)}"

    def _figures(self, done: int) -> str:
        if self.is_over or done >= self._total:
            return human(self._total)
        moved, seconds = done - self._first, time.monotonic() - self._began
        sizes = f"{human(done)}/{human(self._total)}"
        if not moved or not seconds:
            return sizes
        speed = moved / seconds
        left = int((self._total - done) / speed)
        clock = f"{left // 60}m{left % 60}s" if left >= 60 else f"{left}s"
        return f"{sizes}  {human(int(speed))}/s  {clock:>6}"


def human(size: int) -> str:
    """Return a size as the real one prints it: one decimal below ten."""
    for unit, worth in UNITS:
        if size >= worth:
            value = size / worth
            return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
    return f"{size} B"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
