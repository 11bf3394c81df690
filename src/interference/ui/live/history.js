// One entry of the browser's history for each page, with its settings. On the way from one page to the next Streamlit
// takes the settings out of the address of the first, in an entry of its own, and gives the next those that it keeps, in
// another. Going back would end on these, and set everything to its defaults. What it takes out on the same page, where
// a move is undone for example, is no way to another, and stays out. Before this script is there, Streamlit makes an
// entry whenever it puts right the address that it opens: going back passes over the ones before, unless another page has
// been gone to by then.
//
// And a link to a page that is opened in a tab of its own, which Streamlit would not, takes along what is set on all.
//
// A page that is loaded anew, or finds its session gone, is a new session to Streamlit: that is told which one it comes
// after, once no page is waited for whose link was clicked: Streamlit goes back to the page that said something
// meanwhile. An address that was typed or followed begins afresh.
let telling = 0;
const awaited = () => {
  const link = document.activeElement?.closest("a[data-testid$=NavLink]");
  return Boolean(link) && link.pathname !== location.pathname;
};

export default function ({ data: { settings, session }, setTriggerValue }) {
  const loaded = performance.getEntriesByType("navigation")[0];
  const again = loaded?.type === "reload" && !new URL(loaded.name).searchParams.has("view");
  let kept = {};
  try {
    kept = sessionStorage ?? kept;
  } catch {} // a browser that keeps nothing for pages raises, or has null
  const before = kept.interferenceSession;
  clearInterval(telling);
  if (before && before !== session && (again || history.onePerPage)) {
    let patience = 100; // for who has a link in the focus and does not follow it
    const tell = () => {
      if (awaited() && patience--) return;
      clearInterval(telling);
      setTriggerValue("reloaded", before); // its name now
    };
    telling = setInterval(tell, 50);
    tell();
  } else kept.interferenceSession = session;
  if (history.onePerPage) return;
  const marked = (change) => (state, title, address) => {
    change.call(history, { ...state, marked: true }, title, address);
    here = location.href;
  };
  const push = marked(history.pushState);
  const replace = marked(history.replaceState);
  let here = location.href;
  const opened = loaded?.name;
  const putRight = Boolean(opened) && opened !== here && new URL(opened).pathname === location.pathname;
  let left = null; // the page's address before settings were taken out of it, if they were since the last click or key
  let leaving = false; // whether a link to another page was clicked: a second click on it, before that comes, is none
  let named = document.title; // at that click or key: by the time that a page is left, the title is the next one's
  const begin = () => ([left, leaving, named] = [null, false, document.title]);
  history.onePerPage = true;
  replace(history.state, "", here);
  history.replaceState = (state, title, address) => {
    const to = new URL(address ?? location.href, location.href);
    const settings = [...new URLSearchParams(location.search).keys()].filter((name) => name !== "view"); // is read once
    if (settings.some((name) => !to.searchParams.has(name))) left ??= location.href;
    replace(state, title, address);
  };
  history.pushState = (state, title, address) => {
    const to = new URL(address, location.href);
    const slide = to.searchParams.has("present"); // each is gone back to
    if (to.pathname === location.pathname && !slide) return history.replaceState(state, title, address);
    const next = document.title;
    document.title = named;
    if (left) replace(state, title, left);
    push(state, title, address);
    document.title = next;
    begin();
  };
  const takeAlong = ({ target }) => {
    const link = target.closest?.("a[data-testid$=NavLink]");
    const kept = [...new URLSearchParams(location.search)].filter(([name]) => settings.includes(name));
    if (link) link.search = new URLSearchParams(kept);
    return link;
  };
  const clicked = (event) => {
    const { target, ctrlKey, metaKey, shiftKey } = event;
    if ((ctrlKey || metaKey || shiftKey) && takeAlong(event)) event.stopPropagation(); // the browser opens it
    if (leaving) return;
    begin();
    const link = target.closest?.("a[href]");
    leaving = Boolean(link) && !link.target && !ctrlKey && !metaKey && !shiftKey && link.pathname !== location.pathname;
  };
  addEventListener("click", clicked, true);
  addEventListener("pointerdown", takeAlong, true); // of any button, and before a menu
  addEventListener("keydown", () => leaving || begin(), true);
  const gone = (event) => {
    if (putRight && !event.state?.marked) {
      event.stopImmediatePropagation(); // Streamlit is not to open it
      replace(event.state, "", here); // where there is nothing before it, the page stays as it is
      return history.back();
    }
    here = location.href;
    begin();
  };
  addEventListener("popstate", gone, true);
}
