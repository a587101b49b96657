"""Makes docs/images from the page as it is: python tests/web/screenshots.py, with Chromium and the serve extra."""

from __future__ import annotations

import json
import shutil
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from page_driver import ARGUMENTS, SIZES, Driver
from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGE = {"viewport": {"width": 1280, "height": 820}, "device_scale_factor": 1.5}
PHONE = {**SIZES["phone"], "device_scale_factor": 2}


def chat(driver: Driver) -> None:
    driver.send("What is 123 times 45?")
    driver.send("How many r's are in strawberry?")
    driver.send("Tell me a story about a fox and a lost key.")
    driver.page.locator(".scroller").evaluate("box => { box.scrollTop = 0; }")
    driver.page.mouse.move(640, 700)


def tokens(driver: Driver) -> None:
    driver.send("Tell me a story about a fox and a lost key.")
    driver.colour()
    driver.page.locator(".scroller").evaluate("box => { box.scrollTop = 0; }")
    driver.last.locator(".token.band-4, .token.band-5").nth(3).hover()
    driver.page.locator(".token-card").wait_for()


def notebook(driver: Driver) -> None:
    driver.notebook()
    driver.field.fill("Once upon a time, a little robot found a door in the sea")
    driver.proceed()
    driver.button("Score the text").click()
    driver.page.locator(".backdrop .token").nth(20).wait_for()
    driver.field.blur()


def phone(driver: Driver) -> None:
    driver.send("What is 123 times 45?")
    driver.send("Tell me a story about a fox and a lost key.")
    driver.colour()
    driver.last.locator(".token.band-3, .token.band-4").nth(2).tap()
    driver.page.locator(".token-card").wait_for()


PICTURES: dict[str, tuple[dict[str, object], str, Callable[[Driver], None]]] = {
    "chat-light": (LARGE, "light", chat), "chat-dark": (LARGE, "dark", chat), "tokens": (LARGE, "light", tokens),
    "notebook": (LARGE, "light", notebook), "phone": (PHONE, "light", phone),
}


def take(browser: Browser, url: str, name: str) -> None:
    """Make one picture."""
    size, scheme, act = PICTURES[name]
    context = browser.new_context(**size, color_scheme=scheme)
    driver = Driver(context.new_page(), url, size="phone" if size is PHONE else "desktop").open()
    driver.page.evaluate("""localStorage.setItem('nanochat.preferences',
      JSON.stringify({ settings: { system: '', sampling: { seed: 11, max_tokens: 260 }, model: null } }))""")
    driver.open()
    act(driver)
    driver.page.wait_for_timeout(400)
    path = IMAGES / f"{name}.png"
    path.write_bytes(driver.page.screenshot())
    print(f"{path.name}: {path.stat().st_size // 1024} KiB")
    context.close()


def fewer_colours(png: bytes) -> bytes:
    """The picture with the last two bits of each colour rounded away, packed as well as PNG can: about half the size."""
    width, height, packed = *struct.unpack(">II", png[16:24]), b""
    depth, kind = png[24:26]
    assert (depth, kind) == (8, 2), "expected eight bits of red, green and blue"
    at = 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at:at + 4])
        if png[at + 4:at + 8] == b"IDAT":
            packed += png[at + 8:at + 8 + length]
        at += length + 12
    rows = unfiltered(zlib.decompress(packed), width * 3, height)
    rounded = bytes(min(255, (value + 2) // 4 * 4) if value < 252 else 255 for value in range(256))
    lines, above = [], bytes(width * 3)
    for row in rows:
        row = row.translate(rounded)
        up = bytes((a - b) & 255 for a, b in zip(row, above, strict=True))
        lines.append(min((b"\0" + row, b"\2" + up), key=lambda line: len(zlib.compress(line, 1))))
        above = row
    data = zlib.compress(b"".join(lines), 9)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")))


def unfiltered(data: bytes, width: int, height: int) -> list[bytes]:
    """The rows of a picture of three bytes per pixel. Source: PNG specification, section 9."""
    rows: list[bytes] = []
    above = bytearray(width)
    for number in range(height):
        start = number * (width + 1)
        kind, row = data[start], bytearray(data[start + 1:start + 1 + width])
        for at in range(width):
            left, up, corner = row[at - 3] if at > 2 else 0, above[at], above[at - 3] if at > 2 else 0
            if kind == 4:
                guess = left + up - corner
                near = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
            else:
                near = (0, left, up, (left + up) // 2)[kind]
            row[at] = (row[at] + near) & 255
        rows.append(bytes(row))
        above = row
    return rows


def main() -> None:
    """Make the pictures that are named on the command line, or all."""
    names = sys.argv[1:] or list(PICTURES)
    IMAGES.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pynanochat", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as server, sync_playwright() as playwright:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"] + "/"
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name in names:
            take(browser, url, name)
        browser.close()
        server.send_signal(signal.SIGTERM)


if __name__ == "__main__":
    main()
