"""A small Hub on loopback: the routes that huggingface_hub and datasets use, with faults on demand.

Repositories live in memory. Small files are git blobs, weights and ``.parquet`` large ones, as on the Hub.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopback"
LARGE = (".safetensors", ".bin", ".parquet")
Files = dict[str, bytes]


def git_name(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@dataclass
class Repository:
    """Commits (hash → files) and refs; ``closed`` is the error code for requests without a token."""

    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    closed: str | None = None
    private: bool = False

    def commit(self, files: Files, ref: str = "main") -> str:
        parent = self.refs.get(ref) or self.refs.get("main", "")
        content = self.commits.get(parent, {}) | files
        sha = hashlib.sha1(f"{len(self.commits)} {sorted(files)}".encode()).hexdigest()
        self.commits[sha] = content
        self.refs[ref] = sha
        return sha


@dataclass
class Fault:
    """What goes wrong at the next ``times`` requests of ``method`` whose path ends in ``path``."""

    method: str
    path: str
    status: int | None = None  # answer with this status
    cut_after: int | None = None  # or send this many bytes of the body, and hang up
    stall_after: int | None = None  # or send this many, signal that, and then nothing until the client is gone
    times: int = 1


class Hub(ThreadingHTTPServer):
    """The server: ``asked`` lists every request as 'METHOD path', with the range asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.asked: list[str] = []
        self.stalled = threading.Event()
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, name: str, files: Files, **keys: Any) -> str:
        """A new repository ('models/…' or 'datasets/…') with one commit, whose hash is returned."""
        self.repositories[name] = Repository(**keys)
        return self.repositories[name].commit(files)

    def fault(self, path: str) -> Fault | None:
        """The fault that this request meets."""
        with self.lock:
            for fault in self.faults:
                method, _, asked = path.partition(" ")
                if fault.times and fault.method == method and asked.endswith(fault.path):
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def running() -> Iterator[Hub]:
    """A Hub that answers while the block runs."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Routes: each is a method, a pattern of the path, and the function that answers it."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def do_GET(self) -> None:
        self.route()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        """Log nothing: requests are in the server's list."""

    def route(self) -> None:
        path = urlsplit(self.path).path
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        asked = f"{self.command} {path}"
        self.server.asked.append(f"{asked} {self.headers.get('Range', '')}".strip())
        self.met = self.server.fault(asked)
        if self.met is not None and self.met.status is not None:
            return self.answer({"error": "injected"}, self.met.status)
        method = "GET" if self.command == "HEAD" else self.command
        for wanted, pattern, function in ROUTES:
            if wanted == method and (found := re.fullmatch(pattern, path)):
                with self.server.lock:
                    return function(self, *(unquote(part or "") for part in found.groups()))
        return self.refuse(404, "EntryNotFound")

    def answer(self, content: Any, status: int = 200, **headers: str) -> None:
        """Send JSON, or bytes as they are; a fault may cut them short."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.met is not None and self.met.cut_after is not None:
            self.wfile.write(data[: self.met.cut_after])
            self.close_connection = True
            return
        if self.met is not None and self.met.stall_after is not None:
            self.wfile.write(data[: self.met.stall_after])
            self.server.stalled.set()
            self.rfile.read(1)
            self.close_connection = True
            return
        self.wfile.write(data)

    def refuse(self, status: int, code: str = "") -> None:
        self.answer({"error": code}, status, **({"X-Error-Code": code} if code else {}))

    def allowed(self, name: str) -> Repository | None:
        """The repository, or None, after sending the refusal, if it does not exist or the caller has no access."""
        authorised = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if self.headers.get("Authorization") and not authorised:
            self.answer({}, 401, X_Error_Message="Invalid credentials in Authorization header")
            return None
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not authorised):
            self.refuse(401 if not authorised else 404, "RepoNotFound")
            return None
        if repository.closed and not authorised:
            self.refuse(401, repository.closed)
            return None
        return repository

    def at(self, name: str, revision: str) -> tuple[str, Files] | None:
        """Hash and files of a revision, or None after the refusal has been sent."""
        repository = self.allowed(name)
        if repository is None:
            return None
        sha = repository.refs.get(revision, revision)
        if sha not in repository.commits:
            self.refuse(404, "RevisionNotFound")
            return None
        return sha, repository.commits[sha]


def entry(path: str, content: bytes) -> dict[str, Any]:
    """A file as the Hub's listings show it."""
    described: dict[str, Any] = {"type": "file", "path": path, "size": len(content), "oid": git_name(content)}
    if path.endswith(LARGE):
        described["lfs"] = {"oid": sha256(content), "size": len(content), "pointerSize": 134}
    return described


def info(handler: Handler, name: str, revision: str = "main") -> None:
    if found := handler.at(name, revision):
        sha, files = found
        handler.answer({"id": name.split("/", 1)[1], "sha": sha, "siblings": [{"rfilename": path} for path in files]})


def tree(handler: Handler, name: str, revision: str, folder: str = "") -> None:
    if found := handler.at(name, revision):
        inside = {
            path: content for path, content in found[1].items() if path.startswith(f"{folder}/" if folder else "")
        }
        if folder and not inside:
            return handler.refuse(404, "EntryNotFound")
        recursive = parse_qs(urlsplit(handler.path).query).get("recursive") == ["true"]
        depth = folder.count("/") + 1 if folder else 0
        entries = [entry(path, content) for path, content in inside.items() if recursive or path.count("/") == depth]
        folders = {"/".join(path.split("/")[: depth + 1]) for path in inside if path.count("/") > depth}
        entries += [{"type": "directory", "path": path, "oid": "0" * 40, "size": 0} for path in sorted(folders)]
        handler.answer(entries)


def resolve(handler: Handler, kind: str, name: str, revision: str, path: str) -> None:
    if not (found := handler.at(f"{kind or 'models/'}{name}", revision)):
        return None
    sha, files = found
    if path not in files:
        return handler.refuse(404, "EntryNotFound")
    content = files[path]
    headers = {"X-Repo-Commit": sha, "ETag": f'"{git_name(content)}"', "Accept-Ranges": "bytes"}
    if path.endswith(LARGE):
        headers |= {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
    if wanted is None:
        return handler.answer(content, **headers)
    first, last = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
    return handler.answer(
        content[first : last + 1], 206, **headers, Content_Range=f"bytes {first}-{last}/{len(content)}"
    )


def create(handler: Handler) -> None:
    asked = json.loads(handler.body)
    name = f"models/{asked['organization']}/{asked['name']}"
    url = f"{handler.server.url}/{name.removeprefix('models/')}"
    if handler.headers.get("Authorization") != f"Bearer {TOKEN}":
        return handler.answer({}, 401, X_Error_Message="Invalid credentials in Authorization header")
    if asked["organization"] == "others":
        return handler.answer({"error": "no right"}, 403)
    if name in handler.server.repositories:
        return handler.answer({"error": "exists", "url": url}, 409)
    handler.server.add(
        name, {".gitattributes": b"*.safetensors filter=lfs\n"}, private=asked["visibility"] == "private"
    )
    return handler.answer({"url": url})


def preupload(handler: Handler, name: str, revision: str) -> None:
    if found := handler.at(name, revision):
        files = [
            {"path": path, "uploadMode": "lfs" if path.endswith(LARGE) else "regular", "shouldIgnore": False}
            | ({"oid": known["lfs"]["oid"] if "lfs" in known else known["oid"]} if known else {})
            for path in (file["path"] for file in json.loads(handler.body)["files"])
            for known in [entry(path, found[1][path]) if path in found[1] else None]
        ]
        handler.answer({"files": files})


def batch(handler: Handler, name: str) -> None:
    objects = []
    for wanted in json.loads(handler.body)["objects"]:
        href = f"{handler.server.url}/large/{wanted['oid']}"
        actions = {"upload": {"href": href}, "verify": {"href": f"{href}/verify"}}
        objects.append(wanted if wanted["oid"] in handler.server.large else wanted | {"actions": actions})
    handler.answer({"transfer": "basic", "objects": objects})


def put(handler: Handler, oid: str) -> None:
    if sha256(handler.body) != oid:
        return handler.refuse(400)
    handler.server.large[oid] = handler.body
    return handler.answer({})


def verify(handler: Handler, oid: str) -> None:
    handler.answer({}) if oid in handler.server.large else handler.refuse(404)


def commit(handler: Handler, name: str, revision: str) -> None:
    if repository := handler.allowed(name):
        files = {}
        for line in map(json.loads, handler.body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = handler.server.large[value["oid"]]
        sha = repository.commit(files, revision)
        handler.answer(
            {"commitUrl": f"{handler.server.url}/{name.removeprefix('models/')}/commit/{sha}", "commitOid": sha}
        )


REPO = r"/api/((?:models|datasets)/[^/]+/[^/]+)"
ROUTES = [
    ("GET", REPO, info),
    ("GET", REPO + r"/revision/([^/]+)", info),
    ("GET", REPO + r"/tree/([^/]+)", tree),
    ("GET", REPO + r"/tree/([^/]+)/(.+)", tree),
    ("POST", REPO + r"/preupload/([^/]+)", preupload),
    ("POST", REPO + r"/commit/([^/]+)", commit),
    ("POST", r"/api/repos/create", create),
    ("POST", r"/api/validate-yaml", lambda handler: handler.answer({"errors": [], "warnings": []})),
    ("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", batch),
    ("PUT", r"/large/([0-9a-f]+)", put),
    ("POST", r"/large/([0-9a-f]+)/verify", verify),
    ("GET", r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", resolve),
]
