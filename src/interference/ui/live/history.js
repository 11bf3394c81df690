// One entry of the browser's history for each page, with its settings. On the way from one page to the next Streamlit
// takes the settings out of the address of the first, in an entry of its own, and gives the next those that it keeps, in
// another. Going back would end on these, and set everything to its defaults. What it takes out on the same page, where
// a move is undone for example, is no way to another, and stays out.
export default function () {
  if (history.onePerPage) return;
  const push = history.pushState.bind(history);
  const replace = history.replaceState.bind(history);
  let left = null; // the page's address before settings were taken out of it, if they were since the last click or key
  history.onePerPage = true;
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
    if (left) replace(state, title, left);
    left = null;
    push(state, title, address);
  };
  for (const done of ["click", "keydown", "popstate"]) addEventListener(done, () => (left = null), true);
}
