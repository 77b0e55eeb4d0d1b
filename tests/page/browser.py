# SPDX-License-Identifier: GPL-2.0-only
"""A headless Chromium, spoken to by its own protocol (DevTools) over a pipe, and a server that
says again what a daemon has said in a scenario."""

import base64
import http.server
import itertools
import json
import os
import subprocess
import tempfile
import threading
import time

PROGRAM = "chromium-headless-shell"
PATIENCE = 30       # s


class Replay(http.server.ThreadingHTTPServer):
    """What Http.keep() has kept. `status` may be changed, and `broken` has it fail."""

    daemon_threads = True

    def __init__(self, where):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.page = (where / "page.html").read_bytes()
        headers = json.loads((where / "headers.json").read_text(encoding="utf-8"))
        self.policy = headers["Content-Security-Policy"]
        self.status = json.loads((where / "status.json").read_text(encoding="utf-8"))
        self.broken = False
        self.url = f"http://127.0.0.1:{self.server_port}/"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        answers = {"/": ("text/html; charset=utf-8", self.server.page),
                   "/status.json": ("application/json", json.dumps(self.server.status).encode())}
        if self.path not in answers or self.server.broken and self.path != "/":
            self.send_error(404)
            return
        kind, text = answers[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Content-Security-Policy", self.server.policy)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class Browser:
    def __init__(self):
        self.ids = itertools.count(1)
        self.events = []
        self.profile = tempfile.TemporaryDirectory()
        to_read, self.to = os.pipe()
        self.from_, to_write = os.pipe()

        def pipes():    # where it looks for them
            saved = os.dup(to_read), os.dup(to_write)
            os.dup2(saved[0], 3)
            os.dup2(saved[1], 4)
        # No sandbox: it is root here, and all that it is shown is our own.
        self.child = subprocess.Popen(
            [PROGRAM, "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile.name}", "--hide-scrollbars", "about:blank"],
            preexec_fn=pipes, close_fds=False, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.buffer = b""

    def close(self):
        self.call("Browser.close")      # with its own children, who write to the profile
        self.child.wait(PATIENCE)
        os.close(self.to)
        os.close(self.from_)
        self.profile.cleanup()

    def _message(self):
        while b"\0" not in self.buffer:
            more = os.read(self.from_, 1 << 20)
            assert more, "the browser is gone"
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(text)

    def call(self, method, session=None, **params):
        message = {"id": next(self.ids), "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, url, **look):
        return Page(self, url, **look)


class Page:
    """A page that has been drawn from the server's status."""

    def __init__(self, browser, url, width=1200, height=900, dark=False):
        self.browser = browser
        browser.events.clear()
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target,
                                    flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 600)
        self.call("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        self.call("Page.navigate", url=url)
        self.wait("document.body && document.body.dataset.drawn > 0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.browser.call("Target.closeTarget", targetId=self.target)

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def eval(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                           awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, expression):
        end = time.monotonic() + PATIENCE
        while not self.eval(expression):
            assert time.monotonic() < end, f"not so: {expression}: {self.complaints()}"
            time.sleep(0.05)

    def text(self):
        return self.eval("document.body.innerText")

    def complaints(self):
        """What it has logged: errors, and what the policy forbids."""
        found = [e["params"] for e in self.browser.events
                 if e["method"] in ("Runtime.exceptionThrown", "Runtime.consoleAPICalled") or
                 e["method"] == "Log.entryAdded" and
                 not e["params"]["entry"].get("url", "").endswith("/favicon.ico")]
        return found

    def requested(self):
        return {e["params"]["request"]["url"] for e in self.browser.events
                if e["method"] == "Network.requestWillBeSent"}

    def picture(self, path, height=None, width=None):
        """Of the whole page, or so much of it."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": width or size["width"],
                "height": min(size["height"], height or size["height"]), "scale": 1}
        data = self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(data))
