// A native list of options in groups, of which some are greyed out.
function build(root, { label, help, groups }) {
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const select = make("select", { id: "choice" }, ...groups.map(([heading, disabled, options]) =>
    make("optgroup", { label: heading, disabled }, ...options.map(([value, text]) => make("option", { value }, text)))));
  const about = help ? [
    make("button", { type: "button", ariaLabel: `Help for ${label}` }, "?"),
    make("div", { popover: "auto" }, help),
  ] : [];
  if (help) about[0].popoverTargetElement = about[1];
  root.replaceChildren(make("label", { htmlFor: "choice" }, label), ...about, select);
  return select;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".choice");
  if (data.turn < root.turn) return; // was overtaken
  root.turn = data.turn;
  const drawn = JSON.stringify([data.label, data.help, data.groups]); // a list that is open closes when it is made anew
  if (root.drawn !== drawn) root.select = build(root, data);
  root.drawn = drawn;
  root.select.value = data.value;
  root.select.disabled = data.disabled;
  root.select.onchange = () => setTriggerValue("picked", root.select.value);
  root.onkeydown = (event) => event.stopPropagation(); // the app has shortcuts on single letters
}
