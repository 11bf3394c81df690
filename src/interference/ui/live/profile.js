// The profile editor: a line of points for each row, over named columns or along the layers. The browser owns what is
// drawn: the server's echo is not looked at, and a version that the server has raised replaces all of it.
const COMMIT_MS = 250, HEIGHT = 230, EDGE = { left: 40, right: 14, top: 12, bottom: 30 };
const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const EVERY = -1; // chosen in place of a row: a move sets all of them

function draw(tag, attributes, text = "") {
  const element = document.createElementNS(SVG_NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

const lead = (editor) => (editor.chosen === EVERY ? 0 : editor.chosen); // the row whose points can be held
const touched = (editor) => (editor.chosen === EVERY ? editor.rows.keys() : [editor.chosen]);

function across(editor, i, count) {
  const { columns } = editor.form, inner = editor.width - EDGE.left - EDGE.right;
  const share = columns.length ? (i + 0.5) / count : count > 1 ? i / (count - 1) : 0.5;
  return EDGE.left + share * inner;
}

function up(editor, value) {
  const { low, high } = editor.form;
  return HEIGHT - EDGE.bottom - ((clamp(value, low, high) - low) / (high - low)) * (HEIGHT - EDGE.top - EDGE.bottom);
}

function valueAt(editor, y) {
  const { low, high, step } = editor.form;
  const share = (HEIGHT - EDGE.bottom - y) / (HEIGHT - EDGE.top - EDGE.bottom);
  return snapped(editor, low + share * (high - low), step);
}

function snapped(editor, value, step) {
  const { low, high } = editor.form;
  return rounded(clamp(low + Math.round((value - low) / step) * step, low, high));
}

function columnName(editor, i, count) {
  const { columns, layers } = editor.form;
  if (columns.length) return columns[i];
  if (count === 1) return "all layers";
  const layer = (i * (layers - 1)) / (count - 1);
  return `layer ${Number(layer.toFixed(1))}`;
}

function set(editor, i, value) {
  for (const row of touched(editor)) if (i < editor.rows[row].length) editor.rows[row][i] = value;
  show(editor);
  editor.unsaid = true;
  sendSoon(editor);
}

function settle(editor) {
  clearTimeout(editor.settling);
  if (editor.unsaid || editor.moving) send(editor, false);
}

function settleLater(editor) {
  clearTimeout(editor.settling);
  editor.settling = setTimeout(() => settle(editor), COMMIT_MS);
}

// The chosen line through another number of points, at the heights that it had there.
function resample(editor, count) {
  if (count < 1 || count > editor.form.most) return;
  for (const row of touched(editor)) {
    const old = editor.rows[row];
    editor.rows[row] = Array.from({ length: count }, (_, i) => {
      const place = count > 1 ? (i / (count - 1)) * (old.length - 1) : 0, start = Math.floor(place);
      const next = old[Math.min(start + 1, old.length - 1)];
      return rounded(old[start] + (place - start) * (next - old[start]));
    });
  }
  show(editor);
  send(editor, false);
}

function hold(editor, i, event) {
  event.preventDefault();
  const point = event.currentTarget;
  point.focus();
  settle(editor);
  const move = (e) => set(editor, i, valueAt(editor, e.clientY - editor.svg.getBoundingClientRect().top));
  const end = () => {
    window.removeEventListener("pointermove", move, true);
    for (const name of ["pointerup", "pointercancel"]) window.removeEventListener(name, end, true);
    settle(editor);
  };
  window.addEventListener("pointermove", move, true);
  for (const name of ["pointerup", "pointercancel"]) window.addEventListener(name, end, true);
}

function press(editor, i, event) {
  const { low, high, step } = editor.form, value = editor.rows[lead(editor)][i], far = event.shiftKey ? 10 : 1;
  const to = {
    ArrowUp: value + far * step, ArrowDown: value - far * step, PageUp: value + 10 * step, PageDown: value - 10 * step,
    Home: low, End: high,
  }[event.key];
  if (to !== undefined) {
    set(editor, i, rounded(clamp(to, low, high)));
    settleLater(editor);
  } else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    editor.points[i + (event.key === "ArrowLeft" ? -1 : 1)]?.focus();
  } else return;
  event.preventDefault();
}

function type(editor) {
  const { entry, form } = editor;
  if (!editor.edited) return;
  const parts = entry.value.trim().split(/[\s;]+|,\s+/).filter(Boolean);
  const read = parts.map((part) => readEntry(part, form.low, form.high));
  const wanted = form.columns.length || `1 to ${form.most}`;
  const fits = form.columns.length ? parts.length === form.columns.length : parts.length >= 1 && parts.length <= form.most;
  const problem = read.find((one) => one.problem)?.problem ?? (fits ? "" : `${wanted} numbers`);
  tell(editor, problem);
  if (problem) return;
  editor.edited = false;
  for (const row of touched(editor)) editor.rows[row] = read.map((one) => one.value);
  show(editor);
  send(editor, false);
}

function tell(editor, problem) {
  editor.problem.textContent = problem;
  editor.entry.setAttribute("aria-invalid", String(Boolean(problem)));
}

function choose(editor, row) {
  settle(editor);
  editor.chosen = row;
  editor.edited = false;
  tell(editor, "");
  show(editor);
}

function drawFrame(editor) {
  const { low, high, columns, layers } = editor.form, parts = [];
  const ticks = [...new Set([low, (low + high) / 2, high, clamp(0, low, high)])];
  for (const value of ticks) {
    const y = up(editor, value);
    parts.push(draw("line", { x1: EDGE.left, x2: editor.width - EDGE.right, y1: y, y2: y, class: value ? "grid" : "zero" }));
    parts.push(draw("text", { x: EDGE.left - 6, y: y + 4, class: "tick end" }, format(value)));
  }
  const bottom = HEIGHT - 10;
  if (columns.length) {
    columns.forEach((name, i) => {
      parts.push(draw("text", { x: across(editor, i, columns.length), y: bottom, class: "tick middle" }, name));
    });
  } else {
    const every = Math.ceil(layers / Math.max(2, Math.floor(editor.width / 60)));
    for (let layer = 0; layer < layers; layer += every) {
      const x = across(editor, layer, layers);
      parts.push(draw("text", { x, y: bottom, class: "tick middle" }, layer ? String(layer) : "layer 0"));
    }
  }
  return parts;
}

function drawLine(editor, row, kind) {
  const values = editor.rows[row], count = values.length;
  const points = values.map((v, i) => `${across(editor, i, count)},${up(editor, v)}`);
  if (!editor.form.columns.length && count === 1) {
    const y = up(editor, values[0]);
    points.splice(0, 1, `${EDGE.left},${y}`, `${editor.width - EDGE.right},${y}`);
  }
  return draw("polyline", { points: points.join(" "), class: `${kind} ${editor.form.columns.length ? "dashed" : ""}` });
}

function show(editor) {
  const { svg, form, chosen } = editor, row = lead(editor), values = editor.rows[row];
  const held = editor.points.indexOf(editor.parent.activeElement ?? document.activeElement);
  if (editor.shownAs !== `${row} ${values.length} ${editor.width}`) {
    editor.shownAs = `${row} ${values.length} ${editor.width}`;
    editor.points = values.map((_, i) => {
      const point = draw("circle", { r: 8, tabindex: 0, role: "slider", "aria-orientation": "vertical", class: "point" });
      point.onpointerdown = (event) => hold(editor, i, event);
      point.onkeydown = (event) => press(editor, i, event);
      return point;
    });
    editor.lines = draw("g", {});
    svg.setAttribute("viewBox", `0 0 ${editor.width} ${HEIGHT}`);
    svg.replaceChildren(...drawFrame(editor), editor.lines, ...editor.points);
    if (held >= 0) editor.points[Math.min(held, values.length - 1)].focus();
  }
  const others = [...editor.rows.keys()].filter((n) => n !== row);
  const kind = chosen === EVERY ? "line" : "other";
  editor.lines.replaceChildren(...others.map((n) => drawLine(editor, n, kind)), drawLine(editor, row, "line"));
  editor.points.forEach((point, i) => {
    const value = values[i];
    const whose = chosen === EVERY ? "all parents" : form.names[row];
    const where = columnName(editor, i, values.length);
    point.setAttribute("cx", across(editor, i, values.length));
    point.setAttribute("cy", up(editor, value));
    const said = { label: `${whose}, ${where}`, valuemin: form.low, valuemax: form.high, valuenow: value };
    for (const [name, text] of Object.entries(said)) point.setAttribute(`aria-${name}`, text);
    point.replaceChildren(draw("title", {}, `${whose}, ${where}: ${format(value)}`));
  });
  editor.chips.forEach((chip) => chip.setAttribute("aria-pressed", String(Number(chip.dataset.row) === chosen)));
  if (!editor.edited) editor.entry.value = values.map(format).join("  ");
  editor.fewer.disabled = values.length <= 1;
  editor.more.disabled = values.length >= form.most;
}

function makeButton(text, title, act) {
  const button = make("button", { type: "button", title, "aria-label": title }, text);
  button.onclick = act;
  return button;
}

function build(editor, form, label, help) {
  Object.assign(editor, { form, points: [], shownAs: "", chosen: form.names.length > 1 ? editor.chosen ?? 0 : 0 });
  if (editor.chosen >= form.names.length) editor.chosen = 0;
  editor.chips = form.names.length < 2 ? [] : [EVERY, ...form.names.keys()].map((row) => {
    const name = row === EVERY ? "All" : form.names[row];
    const chip = makeButton(name, row === EVERY ? "Move all parents together" : `Edit ${name}`, () => choose(editor, row));
    chip.dataset.row = row;
    return chip;
  });
  const count = () => editor.rows[lead(editor)].length;
  editor.fewer = makeButton("−", "One point fewer", () => resample(editor, count() - 1));
  editor.more = makeButton("+", "One point more", () => resample(editor, count() + 1));
  editor.svg = draw("svg", { height: HEIGHT, role: "group", "aria-label": label });
  editor.entry = make("input", { type: "text", autocomplete: "off", spellcheck: "false", "aria-label": `${label}: values` });
  editor.problem = make("span", { class: "problem", role: "alert" });
  editor.entry.oninput = () => (editor.edited = true);
  editor.entry.onchange = () => type(editor);
  editor.entry.onkeydown = (event) => {
    event.stopPropagation(); // the app has shortcuts on single letters
    if (event.key === "Enter") type(editor);
    if (event.key === "Escape") choose(editor, editor.chosen);
  };
  const head = make("div", { class: "head" }, make("span", { title: help }, label));
  const counts = form.columns.length ? [] : [make("span", { class: "quiet" }, "points"), editor.fewer, editor.more];
  const typed = make("div", { class: "typed" }, editor.entry, ...counts, editor.problem);
  editor.root.replaceChildren(head, make("div", { class: "chips", role: "group" }, ...editor.chips), editor.svg, typed);
}

function adopt(editor, version, rows) {
  clearTimeout(editor.timer);
  clearTimeout(editor.settling);
  Object.assign(editor, { version, rows, timer: 0, unsaid: false, moving: false, edited: false });
  tell(editor, "");
}

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".profile");
  if (data.version < root.editor?.version) return; // was overtaken
  const editor = (root.editor ??= paced({ root, parent: parentElement, seq: 0, last: 0, timer: 0, settling: 0 }));
  Object.assign(editor, { emit: setStateValue, said: () => ({ rows: editor.rows }) });
  const { label, help, form } = data, drawn = JSON.stringify([form, label, help]);
  editor.width = Math.max(260, root.clientWidth || 400);
  if (editor.drawn !== drawn) build(editor, form, label, help);
  if (editor.drawn !== drawn || editor.version !== data.version) adopt(editor, data.version, data.rows);
  editor.drawn = drawn;
  root.onkeydown = keepKeys;
  editor.sized ??= new ResizeObserver(() => {
    const width = Math.max(260, root.clientWidth);
    if (width !== editor.width) {
      editor.width = width;
      show(editor);
    }
  });
  editor.sized.observe(root);
  show(editor);
}
