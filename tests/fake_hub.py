"""A Hub on loopback: the endpoints that downloads use, as huggingface_hub and the real Hub speak them, with faults."""

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = 20_000  # bytes from which a file is served as Git LFS: by another host, with its SHA-256


@dataclass
class Fault:
    """What happens to requests whose path matches, `times` of them."""

    path: str
    times: int = 1
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    after: int | None = None  # bytes of the body that come before the connection breaks off
    corrupt: bool = False  # one byte is another
    whole: bool = False  # a range is asked for, and all is sent
    silent: float = 0  # seconds in which nothing comes


@dataclass
class Seen:
    method: str
    path: str
    range: str | None
    authorization: str | None
    host: str


class FakeHub:
    """Repositories by kind, id and revision; each a mapping of file names to bytes."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], dict[str, dict[str, bytes]]] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.gated: set[str] = set()
        self.sizes: dict[str, int] = {}  # of files, as listed; what they say otherwise
        self.token = "hf_loopback"

    def add(self, repo: str, files: dict[str, bytes], revision: str = "main", kind: str = "models") -> None:
        self.repositories.setdefault((kind, repo), {})[revision] = files

    def reset(self) -> None:
        self.faults.clear()
        self.seen.clear()
        self.gated.clear()
        self.sizes.clear()

    def downloads(self) -> list[Seen]:
        return [seen for seen in self.seen if "/cdn/" in seen.path or "/resolve/" in seen.path]


def commit_of(files: dict[str, bytes]) -> str:
    return hashlib.sha1(repr(sorted((n, hashlib.sha1(b).hexdigest()) for n, b in files.items())).encode()).hexdigest()


def git_sha(contents: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents).hexdigest()


@contextmanager
def serving(hub: FakeHub) -> Iterator[str]:
    """The address of a running fake Hub."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments) -> None: ...

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            headers = self.headers
            hub.seen.append(
                Seen(self.command, path, headers.get("Range"), headers.get("Authorization"), headers.get("Host", ""))
            )
            fault = next((f for f in hub.faults if f.times > 0 and re.search(f.path, path)), None)
            if fault:
                fault.times -= 1
                time.sleep(fault.silent)
                if fault.status:
                    return self.answer(fault.status, b'{"error": "fault"}', fault.headers)
            self.route(path, fault)

        def route(self, path: str, fault: Fault | None) -> None:
            if found := re.fullmatch(r"/api/(models|datasets)", path):
                return self.search(found[1])
            if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                return self.info(found[1], found[2], found[3] or "main")
            if found := re.fullmatch(r"/api/(models|datasets)/([^/]+/[^/]+)/refs", path):
                return self.refs(found[1], found[2])
            if found := re.fullmatch(r"/cdn/(models|datasets)/([^/]+/[^/]+)/([0-9a-f]{40})/(.+)", path):
                contents = self.files(found[1], found[2], found[3])[found[4]]
                return self.body(contents, hashlib.sha256(contents).hexdigest(), {}, fault)
            if found := re.fullmatch(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
                return self.resolve(found[1] or "models", found[2], found[3], found[4], fault)
            self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})

        def files(self, kind: str, repo: str, revision: str) -> dict[str, bytes]:
            revisions = hub.repositories.get((kind, repo), {})
            return next((f for name, f in revisions.items() if revision in (name, commit_of(f))), {})

        def refused(self, kind: str, repo: str, revision: str) -> bool:
            if (kind, repo) not in hub.repositories:
                code = {"X-Error-Code": "RepoNotFound"}
                self.answer(401 if not self.headers.get("Authorization") else 404, b"{}", code)
            elif not self.files(kind, repo, revision):
                self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            else:
                return False
            return True

        def info(self, kind: str, repo: str, revision: str) -> None:
            if self.refused(kind, repo, revision):
                return
            files = self.files(kind, repo, revision)
            siblings = []
            for name, contents in files.items():
                size = hub.sizes.get(name, len(contents))
                sibling: dict = {"rfilename": name, "size": size, "blobId": git_sha(contents)}
                if len(contents) >= LARGE:
                    sha = hashlib.sha256(contents).hexdigest()
                    sibling["lfs"] = {"size": size, "sha256": sha, "pointerSize": 134}
                siblings.append(sibling)
            document: dict = {"id": repo, "modelId": repo, "sha": commit_of(files), "siblings": siblings, "tags": []}
            document |= {"private": False, "downloads": 0, "gated": "manual" if repo in hub.gated else False}
            self.answer(200, json.dumps(document).encode(), {})

        def refs(self, kind: str, repo: str) -> None:
            if self.refused(kind, repo, next(iter(hub.repositories.get((kind, repo), {"main": 0})))):
                return
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit_of(files)}
                for name, files in hub.repositories[kind, repo].items()
            ]
            self.answer(200, json.dumps({"branches": branches, "tags": [], "converts": []}).encode(), {})

        def search(self, kind: str) -> None:
            query = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
            author, word = query.get("author", ""), query.get("search", "")
            names = [r for k, r in hub.repositories if k == kind and r.startswith(f"{author}/") and word in r]
            self.answer(200, json.dumps([{"id": n, "modelId": n, "tags": []} for n in names]).encode(), {})

        def resolve(self, kind: str, repo: str, revision: str, name: str, fault: Fault | None) -> None:
            if repo in hub.gated and (given := self.headers.get("Authorization")) != f"Bearer {hub.token}":
                return self.answer(403 if given else 401, b"{}", {"X-Error-Code": "GatedRepo"})
            if self.refused(kind, repo, revision):
                return
            files = self.files(kind, repo, revision)
            if name not in files:
                return self.answer(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            contents, commit = files[name], commit_of(files)
            own = {"X-Repo-Commit": commit, "ETag": f'"{git_sha(contents)}"'}
            if len(contents) < LARGE:
                return self.body(contents, git_sha(contents), own, fault)
            sha = hashlib.sha256(contents).hexdigest()
            own |= {"X-Linked-Size": str(len(contents)), "X-Linked-ETag": f'"{sha}"'}
            own["Location"] = f"http://localhost:{self.server.server_address[1]}/cdn/{kind}/{repo}/{commit}/{name}"
            self.answer(302, b"", own)

        def body(self, contents: bytes, etag: str, headers: dict[str, str], fault: Fault | None) -> None:
            start = 0
            if (asked := self.headers.get("Range")) and not (fault and fault.whole):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
                headers = headers | {"Content-Range": f"bytes {start}-{len(contents) - 1}/{len(contents)}"}
            part = contents[start:]
            if fault and fault.corrupt:
                part = part[:-1] + bytes([part[-1] ^ 1])
            self.send_response(206 if "Content-Range" in headers else 200)
            for key, value in (headers | {"ETag": f'"{etag}"', "Content-Length": str(len(part))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "HEAD":
                return
            if fault and fault.after is not None:
                self.wfile.write(part[: fault.after])
                self.wfile.flush()
                self.connection.close()
                self.close_connection = True
                return
            self.wfile.write(part)

        def answer(self, status: int, contents: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for key, value in (headers | {"Content-Length": str(len(contents))}).items():
                self.send_header(key, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(contents)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request, client_address) -> None: ...  # clients that go away are meant to

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
