// The coefficient panel. The browser owns its state: the server's echo is not looked at, and a version that the server
// has raised (a preset, undo, a link) replaces all of it.
const COMMIT_MS = 250;
const MOVED = "interference:moved";
const LOCKS = {
  true: "M4.5 7V5a3.5 3.5 0 0 1 7 0v2h.5a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1zM6 7h4V5a2 2 0 0 0-4 0z",
  false: "M10 7V5a2 2 0 0 0-3.9-.6l-1.4-.5A3.5 3.5 0 0 1 11.5 5v2h.5a1 1 0 0 1 1 1v5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1zM4.5 8.5v4h7v-4z",
};

function makeToggle(kind, text, title, label, act) {
  const button = make("button", { type: "button", class: kind, title, "aria-label": label }, text);
  button.onclick = act;
  return button;
}

function makeLock(label, act) {
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  icon.setAttribute("viewBox", "0 0 16 16");
  icon.append(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  return makeToggle("lock", icon, "Lock: sharing leaves it alone", label, act);
}

function makeRow(panel, i) {
  const { parents, labels, names, low, high } = panel.form;
  const parent = parents[i], called = names[i] ? `${parent}, ${names[i]}` : parent;
  const row = {
    name: make("div", { class: "name", title: called }, make("b", {}, labels[i]), make("small", {}, names[i])),
    slider: make("input", { type: "range", min: low, max: high, step: 0.01, "aria-label": called }),
    entry: make("input", {
      type: "text", inputmode: "decimal", autocomplete: "off", spellcheck: "false", "aria-label": `${called}: value`,
    }),
    counts: make("output", { title: "What it counts with", "aria-hidden": "true" }),
    lock: makeLock(`Lock ${called}`, () => toggle(panel, "lock", i)),
    solo: makeToggle("solo", "S", "Solo: all others count as 0", `Solo ${called}`, () => toggle(panel, "solo", i)),
    mute: makeToggle("mute", "M", "Mute: it counts as 0", `Mute ${called}`, () => toggle(panel, "mute", i)),
    problem: make("div", { class: "problem", role: "alert" }),
  };
  row.element = make("div", { class: "row", role: "group", "aria-label": called }, ...Object.values(row));
  listen(panel, row, i);
  return row;
}

function listen(panel, row, i) {
  row.slider.oninput = () => {
    move(panel, i, Number(row.slider.value));
    settleLater(panel);
  };
  row.slider.onpointerdown = () => {
    settle(panel);
    panel.dragged = i;
    const end = () => {
      for (const event of ["pointerup", "pointercancel"]) window.removeEventListener(event, end, true);
      panel.dragged = null;
      setTimeout(() => settle(panel)); // after the browser's own last input event
    };
    for (const event of ["pointerup", "pointercancel"]) window.addEventListener(event, end, true);
  };
  row.entry.oninput = () => (row.edited = true);
  row.entry.onchange = () => type(panel, row, i);
  row.entry.onkeydown = (event) => {
    event.stopPropagation(); // the app has shortcuts on single letters
    if (event.key === "Enter") type(panel, row, i);
    if (event.key === "Escape") clear(panel, row);
  };
}

function type(panel, row, i) {
  if (!row.edited) return;
  const { value, problem } = readEntry(row.entry.value, panel.form.low, panel.form.high);
  if (problem) return tell(row, problem);
  settle(panel);
  row.edited = false;
  move(panel, i, value);
  settle(panel);
}

function clear(panel, row) {
  row.edited = false;
  tell(row, "");
  show(panel);
}

function tell(row, problem) {
  row.problem.textContent = problem;
  row.entry.setAttribute("aria-invalid", String(Boolean(problem)));
}

// One gesture shares from where it started, so that going back brings the others back too.
function move(panel, i, wanted) {
  const { state, form } = panel;
  panel.start ??= [...state.values];
  const row = panel.rows[i];
  row.edited = false;
  tell(row, "");
  if (state.share && state.solo === null) {
    const held = state.lock.map((locked, n) => locked || state.mute[n]);
    if (held.every((h, n) => h || n === i)) tell(row, "None to share with");
    state.values = share(panel.start, i, wanted, form.low, form.high, held);
  } else state.values[i] = rounded(wanted);
  show(panel);
  announce(panel);
  panel.unsaid = true;
  sendSoon(panel);
}

// Where the panel stands, for a plot that may have drawn it before.
function announce({ state }) {
  const detail = JSON.stringify([...effective(state), state.normalise]);
  document.dispatchEvent(new CustomEvent(MOVED, { detail }));
}

function settleLater(panel) {
  clearTimeout(panel.settling);
  if (panel.dragged === null) panel.settling = setTimeout(() => settle(panel), COMMIT_MS);
}

function settle(panel) {
  clearTimeout(panel.settling);
  panel.start = null;
  if (panel.unsaid || panel.moving) send(panel, false);
}

function toggle(panel, kind, i) {
  settle(panel);
  const { state } = panel;
  if (kind === "solo") state.solo = state.solo === i ? null : i;
  else if (i === undefined) state[kind] = !state[kind];
  else state[kind][i] = !state[kind][i];
  for (const row of panel.rows) if (!row.edited) tell(row, "");
  show(panel);
  announce(panel);
  send(panel, false);
}

function show(panel) {
  const { state, rows } = panel;
  const counts = counted(state);
  rows.forEach((row, i) => showRow(panel, row, i, counts[i]));
  for (const kind of ["normalise", "share"]) panel[kind].setAttribute("aria-pressed", String(state[kind]));
  panel.sum.textContent = `Sum ${format(total(counts))}`;
}

function showRow(panel, row, i, counts) {
  const { state, form } = panel, value = state.values[i], text = format(value);
  const place = (x) => (clamp(x, form.low, form.high) - form.low) / (form.high - form.low);
  if (Number(row.slider.value) !== value) row.slider.value = value;
  const [from, to] = [place(0), place(value)].sort((a, b) => a - b);
  row.slider.style.setProperty("--from", from);
  row.slider.style.setProperty("--to", to);
  if (!row.edited) row.entry.value = text;
  row.counts.textContent = format(counts);
  const said = format(counts) === text ? text : `${text}, counts with ${format(counts)}`;
  row.slider.setAttribute("aria-valuetext", said);
  row.element.classList.toggle("silent", state.solo === null ? state.mute[i] : state.solo !== i);
  row.element.classList.toggle("plain", format(counts) === text);
  row.lock.setAttribute("aria-pressed", String(state.lock[i]));
  row.lock.querySelector("path").setAttribute("d", LOCKS[state.lock[i]]);
  row.mute.setAttribute("aria-pressed", String(state.mute[i]));
  row.solo.setAttribute("aria-pressed", String(state.solo === i));
}

function build(panel, form, label, help) {
  panel.form = form;
  panel.dragged = null;
  panel.rows = form.parents.map((_, i) => makeRow(panel, i));
  panel.normalise = makeToggle(
    "wide", "Normalise", "Divide by the sum", "Normalise: divide by the sum", () => toggle(panel, "normalise"),
  );
  panel.share = makeToggle(
    "wide", "Share", "Moving one scales the others, so that the sum stays",
    "Share: moving one scales the others, so that the sum stays", () => toggle(panel, "share"),
  );
  panel.sum = make("output", { class: "sum", title: "Sum of what all count with" });
  const head = make("div", { class: "head" }, make("span", { title: help }, label), panel.share, panel.normalise, panel.sum);
  panel.root.replaceChildren(head, ...panel.rows.map((row) => row.element));
  panel.root.setAttribute("role", "group");
  panel.root.setAttribute("aria-label", label);
}

function adopt(panel, version, state) {
  const { dragged } = panel;
  clearTimeout(panel.timer);
  clearTimeout(panel.settling);
  Object.assign(panel, { version, state, start: null, timer: 0, unsaid: false, moving: false });
  if (dragged !== null) {
    state.values[dragged] = rounded(Number(panel.rows[dragged].slider.value));
    panel.unsaid = true; // said when it is let go
  }
  for (const row of panel.rows) {
    row.edited = false;
    tell(row, "");
  }
  announce(panel);
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".panel");
  if (data.version < root.panel?.version) return; // was overtaken
  const panel = (root.panel ??= paced({ root, seq: 0, last: 0, timer: 0, settling: 0, start: null, dragged: null }));
  Object.assign(panel, { emit: setStateValue, said: () => panel.state });
  const { label, help, form } = data, drawn = JSON.stringify([form, label, help]);
  if (panel.drawn !== drawn) build(panel, form, label, help);
  if (panel.drawn !== drawn || panel.version !== data.version) adopt(panel, data.version, data.state);
  panel.drawn = drawn;
  root.onkeydown = keepKeys;
  show(panel);
}
