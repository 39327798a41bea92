"""A site on loopback with images that the tests make: one behind a cookie, one that no other site may
read, one that is refused to whoever does not come from its pages."""

import io
import itertools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
from PIL import Image, ImageFilter

_SITES = itertools.count()


def picture(seed: int | list[int], width: int = 320, height: int = 240) -> bytes:
    """A JPEG of soft random colours, another for each seed."""
    random = np.random.default_rng(seed)
    small = random.integers(30, 226, (height // 20, width // 20, 3), dtype=np.uint8)
    scene = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    pixels = np.asarray(scene.filter(ImageFilter.GaussianBlur(1)), np.float64)
    noisy = (pixels + random.normal(0, 3, pixels.shape)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Site:
    """Serves `pages` (path → HTML), `files` (path → type and content), and pictures that no other has.

    `asked` holds the path of each request for one of the last two, `asked_by_server` aidetect's own.
    `/image/N.jpg` is open; `/private/N.jpg` wants the cookie that every page sets; `/hotlink/N.jpg`
    wants a Referer of this site.
    """

    def __init__(self) -> None:
        site, number = self, next(_SITES)
        self.pages: dict[str, str] = {}
        self.policy: dict[str, str] = {}
        self.files: dict[str, tuple[str, bytes]] = {}
        self.asked: list[str] = []
        self.asked_by_server: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                path = urlsplit(self.path).path
                kind, _, name = path.strip("/").partition("/")
                if path in site.pages:
                    self.answer(200, "text/html; charset=utf-8", site.pages[path].encode(), path)
                    return
                site.asked.append(path)
                if "aidetect" in self.headers.get("User-Agent", ""):
                    site.asked_by_server.append(path)
                if path in site.files:
                    self.answer(200, *site.files[path])
                    return
                refused = (kind == "private" and "seen=1" not in self.headers.get("Cookie", "")) or (
                    kind == "hotlink" and not self.headers.get("Referer", "").startswith(site.address)
                )
                if kind not in ("image", "private", "hotlink") or refused:
                    self.answer(403 if refused else 404, "text/plain", b"no")
                else:
                    seed = int(name.removesuffix(".jpg"))
                    size = (640, 480) if seed % 10 == 9 else (320, 240)
                    self.answer(200, "image/jpeg", picture([number, seed], *size))

            def answer(self, status: int, kind: str, body: bytes, page: str = "") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                lasting = self.path.startswith("/image/")
                self.send_header("Cache-Control", "max-age=600" if lasting else "no-cache")
                if page:
                    self.send_header("Set-Cookie", "seen=1; Path=/; SameSite=Lax")
                    if policy := site.policy.get(page):
                        self.send_header("Content-Security-Policy", policy)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def page(self, path: str, body: str, policy: str = "") -> str:
        """Adds a page; its address."""
        self.pages[path] = (
            f"<!doctype html><html lang=en><title>{path}</title><main>{body}</main></html>"
        )
        self.policy[path] = policy
        return self.address + path

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
