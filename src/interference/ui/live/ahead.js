// Loads Plotly's script while nothing is drawn yet, and draws once unseen: the first drawing compiles what later ones use.
export default function ({ data: src }) {
  load(src).then(async (Plotly) => {
    const unseen = document.createElement("div");
    await Plotly.newPlot(unseen, [{ x: [1], y: ["a"], error_x: { array: [1] } }, { type: "bar", x: [1], y: ["a"] }]);
    Plotly.purge(unseen);
  }).catch((error) => console.warn(error));
}
