"""Every page against axe-core's rules: contrast, names and roles, order of headings."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from test_browser import ROOT, Scheme, opened, served, wait_for_rest

pytestmark = pytest.mark.browser

# Streamlit's own menu has a <div> between its list and the items of it.
STREAMLIT = {"list": {"enabled": False}, "listitem": {"enabled": False}}
# What puts page.css into the page Streamlit loads by itself, which may be after all else is drawn.
STYLED = "() => [...document.querySelectorAll('style')].some((style) => style.textContent.includes('.st-key-panel'))"
SCHEMES: list[Scheme] = ["light", "dark"]


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    with served(tmp_path_factory.mktemp("served")) as address:
        yield address


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("name", sorted(page.stem for page in (ROOT / "pages").glob("*.py")))
def test_a_page_breaks_no_rule(browser, address, name, scheme):
    where = "" if name == "merge" else name
    with opened(browser, f"{address}/{where}?languages=eng&languages=deu", scheme=scheme) as page:
        page.get_by_role("heading", level=1).wait_for()
        wait_for_rest(page)
        page.wait_for_function(STYLED)
        broken = Axe().run(page, options={"resultTypes": ["violations"], "rules": STREAMLIT}).response["violations"]
    assert [(rule["id"], node["html"], node["failureSummary"]) for rule in broken for node in rule["nodes"]] == []
