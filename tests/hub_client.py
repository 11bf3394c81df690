"""The process that talks to the fake Hub: huggingface_hub reads its settings when it is imported.

Reads one JSON request a line, a command's arguments, an id to stop at a share of, or what to do on the Models page,
and answers with one line.
"""

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def run(arguments: list[str]) -> dict:
    from interference.__main__ import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code: str | int = 0
        try:
            main(arguments)
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


def shares_of(text: str) -> dict:
    """Fetch a model; every share that was said to be done."""
    from interference.hub import fetch, hub_id
    from interference.hub.listing import listing

    return {"code": 0, "out": list(fetch.fetch_steps([listing(hub_id(text))])), "err": ""}


def page(languages: list[str], revision: str, corpus: str) -> dict:
    """Compose a suite on the Models page, plan, download and open it; what it said."""
    from streamlit.testing.v1 import AppTest

    root = Path(__file__).parents[1]
    app = AppTest.from_file(str(root / "app.py"), default_timeout=120).run().switch_page("pages/models.py").run()
    app.text_input(key="revision").set_value(revision)
    app.text_input(key="models_corpus").set_value(corpus)
    app.get_by_key("ticked hplt-v2").set_value(languages).run()
    said: dict[str, Any] = {"before": app.button(key="open_models").disabled}
    app.button(key="plan_models").click().run()
    tables = [table.value for table in app.dataframe if "to download" in table.value]
    said["table"] = json.loads(tables[0].to_json(orient="records")) if tables else []
    app.button(key="download_models").click().run()
    deadline = time.monotonic() + 300
    while app.button(key="open_models").disabled and not app.error and time.monotonic() < deadline:
        time.sleep(0.05)
        app.run()
    if not app.button(key="open_models").disabled:
        app.button(key="open_models").click().run()
    said["suite"] = app.session_state["suite"]
    said["captions"] = [caption.value for caption in app.sidebar.caption]
    said["messages"] = [message.value for message in (*app.error, *app.success, *app.exception)]
    return said


if __name__ == "__main__":
    answers = sys.stdout
    for line in sys.stdin:
        request = json.loads(line)
        os.environ["INTERFERENCE_CACHE"] = request["cache"]
        os.environ.pop("HF_TOKEN", None)
        if request.get("token"):
            os.environ["HF_TOKEN"] = request["token"]
        if "arguments" in request:
            answer = run(request["arguments"])
        elif "page" in request:
            answer = page(**request["page"])
        elif "shares" in request:
            answer = shares_of(request["shares"])
        else:
            answer = stop_after(request["stop"], request["share"])
        print(json.dumps(answer), file=answers, flush=True)
