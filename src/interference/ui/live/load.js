// Plotly's script, once for the page, however many plots it has.
function load(src) {
  const scripts = (window.interferenceScripts ??= {});
  return (scripts[src] ??= new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src, async: true });
    script.onload = () => resolve(window.Plotly);
    script.onerror = () => {
      delete scripts[src];
      reject(new Error("The plot's script could not be loaded. Reload the page."));
    };
    document.head.append(script);
  }));
}
