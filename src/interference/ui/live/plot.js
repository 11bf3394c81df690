// A Plotly figure that is changed in place: zoom and selection stay, nothing is drawn anew.

let loading = null; // Plotly, once for the page
function plotly(source) {
  loading ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => reject(new Error(`${source} could not be loaded`));
    script.src = source;
    document.head.append(script);
  });
  return loading;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const place = parentElement.querySelector(".live-plot");
  const s = (place._state ??= { drawn: null, timer: 0 });
  place.style.height = `${data.height}px`;
  place.setAttribute("role", "img");
  place.setAttribute("aria-label", data.alt);
  s.latest = data;
  plotly(data.source).then(
    (Plotly) => draw(Plotly, place, s, setTriggerValue),
    (error) => (place.textContent = `The figure can't be drawn: ${error.message}. Reload the page.`),
  );
  return () => {
    clearTimeout(s.timer);
    s.resized?.disconnect();
    window.Plotly?.purge(place);
    place._state = undefined;
  };
}

async function draw(Plotly, place, s, trigger) {
  const data = s.latest;
  if (!place.isConnected) return;
  const theme = themed(place);
  const drawing = data.figure + JSON.stringify(theme);
  if (s.drawn !== drawing) {
    s.drawn = drawing;
    const figure = JSON.parse(data.figure);
    await Plotly.react(place, figure.data, merged(figure.layout, theme, data.height), configured(Plotly, data, theme));
  }
  if (!s.resized) {
    s.resized = new ResizeObserver(() => place.isConnected && Plotly.Plots.resize(place));
    s.resized.observe(place);
    place.on("plotly_click", ({ points: [p] }) =>
      trigger("click", { x: p.x, y: p.y, trace: p.data.name ?? null, custom: p.customdata ?? null }),
    );
  }
  place.dataset.pending = data.pending;
  clearTimeout(s.timer);
  if (data.pending) s.timer = setTimeout(() => ask(s, trigger), data.tick);
}

// While more is on its way the page is run again; not for a tab that nobody looks at. Every run has a number of its
// own, or one that found nothing new would be the last.
function ask(s, trigger) {
  if (document.hidden) document.addEventListener("visibilitychange", () => ask(s, trigger), { once: true });
  else trigger("tick", Date.now());
}

function themed(place) {
  const style = getComputedStyle(place);
  const of = (name, other) => style.getPropertyValue(name).trim() || other;
  return {
    text: of("--st-text-color", "#31333f"),
    line: of("--st-border-color", "#d0d0d0"),
    ground: of("--st-background-color", "#ffffff"),
    font: of("--st-font", "sans-serif"),
  };
}

function merged(layout, theme, height) {
  const found = { ...layout, height, autosize: true, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)" };
  delete found.template;
  found.font = { color: theme.text, family: theme.font, ...layout.font };
  found.hoverlabel = { bgcolor: theme.ground, bordercolor: theme.line, font: { color: theme.text }, ...layout.hoverlabel };
  for (const key of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name)))
    found[key] = { automargin: true, gridcolor: theme.line, zerolinecolor: theme.line, linecolor: theme.line, ...layout[key] };
  return found;
}

function configured(Plotly, data, theme) {
  const save = (format) => ({
    name: `Download as ${format.toUpperCase()}`,
    icon: Plotly.Icons.camera,
    click: (place) => {
      const layout = { ...place.layout, paper_bgcolor: theme.ground, plot_bgcolor: theme.ground };
      const size = { width: place.offsetWidth, height: place.offsetHeight };
      Plotly.downloadImage({ data: place.data, layout }, { format, filename: data.name, scale: 2, ...size });
    },
  });
  return {
    displaylogo: false,
    showSendToCloud: false,
    modeBarButtonsToRemove: ["toImage", "lasso2d", "select2d"],
    modeBarButtonsToAdd: [save("svg"), save("png")],
  };
}
