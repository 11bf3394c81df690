"""The process that talks to the fake Hub: huggingface_hub reads its settings when it is imported.

Reads one JSON request a line, {"cache": ..., "arguments": [...]} or {"cache": ..., "stop": id, "bytes": n}, and
answers with one line.
"""

import contextlib
import io
import json
import os
import sys


def run(arguments: list[str]) -> dict:
    from interference.__main__ import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code or 0
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def stop_after(text: str, share: float) -> dict:
    """Begin to fetch, and close the generator once more than a share is done."""
    from interference.hub import fetch, hub_id
    from interference.hub.listing import listing

    steps = fetch.fetch_steps([listing(hub_id(text))])
    done = next(done for done in steps if done > share)
    steps.close()
    return {"code": 0, "out": str(done), "err": ""}


if __name__ == "__main__":
    answers = sys.stdout
    for line in sys.stdin:
        request = json.loads(line)
        os.environ["INTERFERENCE_CACHE"] = request["cache"]
        os.environ.pop("HF_TOKEN", None)
        if request.get("token"):
            os.environ["HF_TOKEN"] = request["token"]
        answer = run(request["arguments"]) if "arguments" in request else stop_after(request["stop"], request["share"])
        print(json.dumps(answer), file=answers, flush=True)
