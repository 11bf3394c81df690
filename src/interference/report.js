"use strict";
// Draws every figure from the data beside it, in the colours of the reader's own scheme, and in light ones on paper.
const THEMES = {
  light: { text: "#24262d", line: "#d5d8df", ground: "#ffffff" },
  dark: { text: "#e8eaf0", line: "#3b3f4b", ground: "#14161b" },
};
const dark = matchMedia("(prefers-color-scheme: dark)");
const places = [...document.querySelectorAll(".figure")].map((place) => ({
  place,
  figure: JSON.parse(document.getElementById(place.dataset.figure).textContent),
}));

function themed(layout, theme) {
  const clear = "rgba(0,0,0,0)";
  const found = { ...layout, autosize: true, paper_bgcolor: clear, plot_bgcolor: clear };
  delete found.template;
  found.font = { color: theme.text, family: getComputedStyle(document.body).fontFamily, ...layout.font };
  found.hoverlabel = { bgcolor: theme.ground, bordercolor: theme.line, font: { color: theme.text } };
  for (const key of Object.keys(layout).filter((name) => /^[xy]axis\d*$/.test(name)))
    found[key] = { automargin: true, gridcolor: theme.line, zerolinecolor: theme.line, linecolor: theme.line, ...layout[key] };
  return found;
}

function draw(theme) {
  const config = { displaylogo: false, responsive: true, toImageButtonOptions: { format: "svg", filename: "figure" } };
  for (const { place, figure } of places) Plotly.react(place, figure.data, themed(figure.layout, theme), config);
}

const onScreen = () => draw(dark.matches ? THEMES.dark : THEMES.light);
onScreen();
dark.addEventListener("change", onScreen);
addEventListener("beforeprint", () => draw(THEMES.light));
addEventListener("afterprint", onScreen);
