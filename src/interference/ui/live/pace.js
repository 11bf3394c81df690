// What the controls that move have in common.
function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// When to say where a control stands while it moves: once what was said last is drawn, for a message sent sooner would
// stop the run of the script that is to draw it. A page that draws nothing is told in the end all the same.
const THROTTLE_MS = 60, PATIENCE_MS = 400;
const DRAWN = "interference:drawn";

function sendSoon(control) {
  const wait = control.awaited ? PATIENCE_MS : THROTTLE_MS;
  control.timer ||= setTimeout(() => send(control, true), Math.max(0, wait - (performance.now() - control.last)));
}

// `said` of a control is its state.
function send(control, moving) {
  clearTimeout(control.timer);
  if (!control.root.isConnected) return;
  Object.assign(control, { timer: 0, last: performance.now(), awaited: true, moving, unsaid: false, seq: control.seq + 1 });
  control.emit("value", { ...structuredClone(control.said()), moving, seq: control.seq, version: control.version });
}

// The control itself, once it hears what the plot says when it has drawn.
function paced(control) {
  control.heard = () => {
    if (!control.root.isConnected) return document.removeEventListener(DRAWN, control.heard);
    control.awaited = false;
    if (!control.timer) return;
    clearTimeout(control.timer);
    control.timer = 0;
    sendSoon(control);
  };
  document.addEventListener(DRAWN, control.heard);
  return control;
}

// Keys that a control answers itself are none of the page's, whose slides turn with the arrows; Ctrl+Z and Escape are.
function keepKeys(event) {
  if (event.key !== "Escape" && !event.ctrlKey && !event.metaKey) event.stopPropagation();
}
