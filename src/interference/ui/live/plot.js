// A Plotly figure drawn in place: zoom, selection and the node itself survive new data. While `pending` it asks for more.
const SVG = "M4 1h9l5 5v4h-2V7h-4V3H6v7H4zM3 12h2v4h2l-3 4-3-4h2zM8 13h10v2H8zm0 4h10v2H8z";
const PNG = "M2 3h18v14H2zm2 2v8l4-4 3 3 5-5 2 2V5zM7 6.5A1.5 1.5 0 1 1 7 9.500A1.5 1.5 0 0 1 7 6.5z";
const PLACES = 64; // of which figures are kept
const MOVED = "interference:moved";

// `before` is what was read last: mixing colours anew would have the browser lay out the page at every figure.
function readTheme(element, before) {
  const style = getComputedStyle(element), read = (name) => style.getPropertyValue(`--st-${name}`).trim();
  const [text, ground] = [read("text-color"), read("background-color")];
  const faint = (share) => solid(element, `color-mix(in srgb, ${text} ${share}%, ${ground})`);
  const mixed = before?.text === text && before.ground === ground ? before : { grid: faint(14), line: faint(35) };
  return {
    text, ground, font: read("font"), accent: read("primary-color"), grid: mixed.grid, line: mixed.line,
    colours: read("chart-categorical-colors").split(","),
  };
}

// Plotly reads plain colours alone.
function solid(element, colour) {
  const probe = element.appendChild(document.createElement("i"));
  probe.style.color = colour;
  const srgb = getComputedStyle(probe).color.match(/^color\(srgb ([\d.]+) ([\d.]+) ([\d.]+)/);
  const plain = srgb ? `rgb(${srgb.slice(1).map((x) => Math.round(x * 255))})` : getComputedStyle(probe).color;
  probe.remove();
  return plain;
}

// What a figure looks like where it does not say so itself.
function template(theme) {
  const axis = { gridcolor: theme.grid, zerolinecolor: theme.line, linecolor: theme.line, automargin: true };
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", colorway: theme.colours,
      font: { color: theme.text, family: theme.font, size: 12 }, xaxis: axis, yaxis: axis,
      hoverlabel: { bgcolor: theme.ground, bordercolor: theme.line, font: { color: theme.text } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.line, activecolor: theme.accent },
    },
  };
}

// Exports are for paper: dark on white, whatever the page wears.
function save(plot, format) {
  const paper = { ...plot.theme, text: "#000000", grid: "#e5e5e5", line: "#999999", ground: "#ffffff" };
  const { data, layout } = plot.root;
  const figure = { data, layout: { ...layout, template: template(paper), paper_bgcolor: "#ffffff" } };
  const { clientWidth: width, clientHeight: height } = plot.root;
  plot.Plotly.downloadImage(figure, { format, filename: plot.filename, width, height, scale: format === "png" ? 3 : 1 });
}

function makeConfig(plot) {
  const button = (format, path) => ({
    name: format, title: `Download as ${format.toUpperCase()}`, icon: { width: 22, height: 22, path },
    click: () => save(plot, format),
  });
  return {
    responsive: true, displaylogo: false, showSendToCloud: false, modeBarButtonsToRemove: ["toImage"],
    modeBarButtonsToAdd: [button("svg", SVG), button("png", PNG)],
  };
}

async function draw(plot) {
  const { root, theme } = plot, figure = structuredClone(plot.figure); // Plotly writes zoom and what is hidden into it
  const { height, template: _, ...layout } = figure.layout ?? {};
  const whole = { uirevision: "kept", ...layout, autosize: true, template: template(theme) };
  plot.config ??= makeConfig(plot); // another one would draw all anew, without the zoom
  await plot.Plotly.react(root, figure.data ?? [], whole, plot.config);
  if (plot.observer || !root.isConnected) return;
  root.on("plotly_click", ({ points: [{ curveNumber: curve, x, y }] }) => plot.trigger("click", { curve, x, y }));
  plot.observer = new ResizeObserver(() => root.clientWidth && plot.Plotly.Plots.resize(root));
  plot.observer.observe(root);
}

function tickLater(plot, pending) {
  clearTimeout(plot.timer);
  document.removeEventListener("visibilitychange", plot.wake);
  if (!pending) return;
  plot.wake = () => {
    if (!plot.root.isConnected) return document.removeEventListener("visibilitychange", plot.wake);
    if (document.hidden) return document.addEventListener("visibilitychange", plot.wake);
    document.removeEventListener("visibilitychange", plot.wake);
    plot.trigger("tick", (plot.ticks += 1));
  };
  plot.timer = setTimeout(plot.wake, plot.tickMs);
}

// Undo and redo in a text field are the field's own, not the page's.
function keepUndo(event) {
  const field = event.composedPath()[0];
  const typed = field instanceof HTMLTextAreaElement || (field instanceof HTMLInputElement && field.type === "text");
  if (typed && (event.ctrlKey || event.metaKey) && /^[zy]$/i.test(event.key)) event.stopPropagation();
}
if (!globalThis.interferenceUndo) window.addEventListener("keydown", (globalThis.interferenceUndo = keepUndo), true);

// Whole figures of the places where the controls stood, as long as all else stays: whoever comes back waits for nobody.
function keep(plot, { scope, place, whole, figure }) {
  if (plot.scope !== scope) Object.assign(plot, { scope, seen: new Map() });
  if (!place || !whole) return;
  plot.seen.delete(place); // the oldest goes first
  plot.seen.set(place, figure);
  if (plot.seen.size > PLACES) plot.seen.delete(plot.seen.keys().next().value);
}

// The controls have moved: what is known of that place is drawn, once they have drawn themselves. It is looked up then,
// for the same message that moves them may bring figures of another scope.
function follow(plot, place) {
  plot.at = place;
  cancelAnimationFrame(plot.frame);
  if (known(plot) && plot.Plotly) plot.frame = requestAnimationFrame(() => setTimeout(() => show(plot, known(plot))));
}

function known({ seen, at, asked }) {
  return seen.get(at) ?? (asked.place === at ? asked.figure : null);
}

async function show(plot, figure) {
  const drawn = JSON.stringify([figure, plot.theme]);
  if (figure && plot.drawn !== drawn) await draw(Object.assign(plot, { drawn, figure }));
}

async function update(plot, data) {
  try {
    plot.Plotly ??= await load(data.src);
    plot.theme = readTheme(plot.root.parentElement, plot.theme);
    keep(plot, data);
    // An answer about where the controls were is no news where they are.
    await show(plot, (data.place && data.place !== plot.at && plot.seen.get(plot.at)) || data.figure);
  } catch (error) {
    plot.message.textContent = error.message;
    throw error;
  }
  plot.root.dataset.pending = data.pending;
  document.dispatchEvent(new Event("interference:drawn")); // heard by the controls that this follows
  if (plot.asked === data) tickLater(plot, data.pending); // else a newer update is on its way
}

function make(root, message) {
  const plot = { root, message, ticks: 0, seen: new Map() };
  plot.heard = ({ detail }) => {
    if (root.isConnected) follow(plot, detail);
    else document.removeEventListener(MOVED, plot.heard);
  };
  document.addEventListener(MOVED, plot.heard);
  return plot;
}

export default function ({ data: bytes, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".live-plot");
  const message = parentElement.querySelector(".live-plot-message");
  const data = JSON.parse(new TextDecoder().decode(bytes));
  data.place &&= JSON.stringify(data.place);
  if (data.turn < root.livePlot?.asked.turn) return; // was overtaken
  const plot = (root.livePlot ??= make(root, message));
  Object.assign(plot, { trigger: setTriggerValue, asked: data, tickMs: data.tick_ms, filename: data.filename });
  root.style.height = `${data.height}px`;
  root.setAttribute("role", "figure");
  root.setAttribute("aria-label", data.alt);
  message.textContent = "";
  const done = update(plot, data);
  done.catch((error) => console.error(error));
  return () => {
    if (root.isConnected) return; // an update that was overtaken, not the end
    tickLater(plot, false);
    plot.observer?.disconnect();
    plot.Plotly?.purge(root);
  };
}
