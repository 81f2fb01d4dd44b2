"""A real browser, and records of its requests and errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

_CHROMIUM = "/usr/bin/chromium"
_SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Visit:
    """One visit to the page, with the browser's requests and errors."""

    page: Page
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.complaints.append(said.text)

    async def run(self, example: str) -> None:
        """Open an example from the panel and press the execute button."""
        # The page is ready when the editor shows its first example.
        await expect(self.page.locator('.examples button[aria-pressed="true"]')).to_have_count(1)
        button = self.page.get_by_role("button", name=example)
        await button.click()
        await expect(button).to_have_attribute("aria-pressed", "true")  # the example is in the editor
        await self.page.get_by_role("button", name="Execute query").click()

    async def expect_answer(self, text: str) -> None:
        """Wait until the response pane has this text."""
        await expect(self.page.locator(".result-window")).to_contain_text(text)


@asynccontextmanager
async def visiting() -> AsyncIterator[Visit]:
    """A visit by a browser without stored state."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=_SWITCHES)
        try:
            yield Visit(await browser.new_page())
        finally:
            await browser.close()
