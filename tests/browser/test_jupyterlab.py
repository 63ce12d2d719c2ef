"""A person steps through notebook 2: a real JupyterLab in a real browser runs it from top to bottom."""

import json
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import Checkout
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")]

NOTEBOOK = "lab/2-evaluate.ipynb"
SECONDS = 120_000  # ms: a kernel loads torch
# Keep all cells in the page, not only those in view, and ask no server for news.
SETTINGS = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture
def address(checkout: Checkout, tmp_path: Path) -> Iterator[str]:
    """Where a JupyterLab of the checkout shows its copy of notebook 2, with the parameters of the tiny study."""
    (checkout.folder / "lab").mkdir()
    content = (checkout.folder / "notebooks/2-evaluate.ipynb").read_text()
    (checkout.folder / NOTEBOOK).write_text(content.replace("studies/demo.yaml", "studies/tiny.yaml"))
    for name, values in SETTINGS.items():
        file = tmp_path / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    token = secrets.token_hex()
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("RUNTIME", "CONFIG", "DATA")}
    folders |= {"JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path)}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", "--notebook-dir=.",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=checkout.folder, env=checkout.environment() | folders, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        said = []
        for line in server.stderr:  # it ends where the server ends
            said.append(line)
            if "is running at" in line:
                break
        assert server.poll() is None, "".join(said)
        yield f"http://127.0.0.1:{port}/lab/tree/{NOTEBOOK}?token={token}"
        server.terminate()
        server.stderr.read()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser.new_page(viewport={"width": 1280, "height": 900})
        browser.close()


def test_notebook_2_runs_from_top_to_bottom(checkout, address, page):
    cells = json.loads((checkout.folder / NOTEBOOK).read_text())["cells"]
    n = sum(cell["cell_type"] == "code" for cell in cells)
    result = checkout.folder / "runs/tiny/bert/seed-0/evaluation.json"
    before = result.stat().st_mtime_ns
    hosts: set[str | None] = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(address)
    prompts = page.locator(".jp-CodeCell .jp-InputPrompt")
    expect(prompts).to_have_count(n, timeout=SECONDS)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(prompts.nth(n - 1)).to_have_text(f"[{n}]:", timeout=SECONDS)  # cells run in order, and stop at an error
    assert prompts.all_inner_texts() == [f"[{i}]:" for i in range(1, n + 1)]
    assert page.locator('[data-mime-type$=".error"], [data-mime-type$=".stderr"]').count() == 0
    captions = page.locator("figcaption").all_inner_texts()
    assert [caption.split(".")[0] for caption in captions] == [
        "Scores between a baseline without training and a perfect model under the study's limits",
        "Confidence of right and wrong answers",
    ]
    for alt, width in page.evaluate("[...document.querySelectorAll('figure img')].map(i => [i.alt, i.naturalWidth])"):
        assert alt
        assert width > 0
    tables = page.locator(".jp-OutputArea table caption").all_inner_texts()
    assert {"The 10 least confident answers", "The 10 most confident answers"} <= set(tables)
    assert result.stat().st_mtime_ns > before
    assert hosts == {"127.0.0.1"} | hosts & {None, ""}  # data: has no host
