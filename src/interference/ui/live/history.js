// One entry of the browser's history for each page, with its settings. Streamlit makes three on the way from one page to
// the next: the same page without its settings, the next without, and the next with those that it keeps. Going back would
// end on these, and set everything to its defaults.
export default function () {
  if (history.onePerPage) return;
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  let leaving = false; // whether the present entry is one of those on the way
  history.onePerPage = true;
  history.replaceState = (...given) => {
    leaving = false;
    replace(...given);
  };
  history.pushState = (state, title, address) => {
    const to = new URL(address, location.href);
    const same = to.pathname === location.pathname;
    const settings = [...new URLSearchParams(location.search).keys()].filter((name) => name !== "view"); // is read once
    const stripped = same && !leaving && settings.some((name) => !to.searchParams.has(name));
    (stripped || (!same && !leaving) ? push : replace)(state, title, address);
    leaving = same && (leaving || stripped);
  };
  addEventListener("popstate", () => (leaving = false));
}
