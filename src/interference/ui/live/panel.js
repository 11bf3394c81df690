// The panel of coefficients. What a user does here is drawn at once; the server's answer never moves a thumb.

/** The values after value `i` became `wanted` and the free others gave or took the difference, inside [low, high]. */
export function share(values, i, wanted, free, low, high) {
  const others = values.map((_, k) => k).filter((k) => k !== i && free[k]);
  const total = values[i] + others.reduce((sum, k) => sum + values[k], 0);
  const found = [...values];
  found[i] = Math.min(Math.max(wanted, low, total - others.length * high), high, total - others.length * low);
  let open = others;
  let rest = total - found[i];
  while (open.length) {
    const sum = open.reduce((all, k) => all + values[k], 0);
    const inProportion = sum > 1e-9 && open.every((k) => values[k] >= 0);
    const part = (k) => (inProportion ? (values[k] / sum) * rest : values[k] + (rest - sum) / open.length);
    const over = open.filter((k) => part(k) > high + 1e-12 || part(k) < low - 1e-12);
    if (!over.length) {
      open.forEach((k) => (found[k] = part(k)));
      break;
    }
    over.forEach((k) => (found[k] = part(k) > high ? high : low));
    rest -= over.reduce((all, k) => all + found[k], 0);
    open = open.filter((k) => !over.includes(k));
  }
  return found.map((v, k) => (k === i || free[k] ? Math.round(v * 1e4) / 1e4 : v));
}

/** The number in a text with a decimal point or comma, or null. */
export function parse(text) {
  const plain = text.trim().replace(",", ".").replace("−", "-");
  return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(plain) ? Number(plain) : null;
}

/** What each parent counts, before normalising: nothing where it is muted or another is soloed. */
export function heard(s) {
  return s.values.map((v, i) => ((s.solo === null ? s.muted[i] : s.solo !== i) ? 0 : v));
}

const COMMIT_MS = 250; // after the last key

export default function ({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".panel");
  const s = (root._state ??= { version: null, timer: 0, last: 0, commit: 0 });
  s.send = setStateValue;
  s.data = data;
  if (s.version !== data.version) {
    Object.assign(s, structuredClone(data.state), { version: data.version, start: null });
    clearTimeout(s.timer);
    clearTimeout(s.commit);
    s.timer = 0;
    build(root, s);
  }
  root.dataset.server = data.version;
  root.onkeydown = (event) => event.key !== "Escape" && event.stopPropagation(); // no shortcut of the page's is meant
  paint(root, s);
}

function build(root, s) {
  const { names, languages, low, high, step } = s.data;
  const rows = root.querySelector(".rows");
  rows.replaceChildren(
    ...names.map((name, i) => {
      const row = root.querySelector("template").content.firstElementChild.cloneNode(true);
      const [slider, entry] = [row.querySelector("[type=range]"), row.querySelector("[type=text]")];
      row.querySelector(".name").textContent = name;
      row.querySelector(".language").textContent = languages[i];
      Object.assign(slider, { min: low, max: high, step, value: s.values[i] });
      slider.setAttribute("aria-label", `${name}: coefficient`);
      entry.setAttribute("aria-label", `${name}: coefficient, typed`);
      slider.onpointerdown = () => Object.assign(s, { start: [...s.values], pointer: true });
      slider.onkeydown = () => Object.assign(s, { start: s.start ?? [...s.values], pointer: false });
      slider.oninput = () => {
        entry.removeAttribute("aria-invalid");
        set(root, s, i, Number(slider.value), true);
      };
      slider.onchange = () => settle(root, s);
      entry.onchange = () => typed(root, s, i, entry);
      for (const kind of ["lock", "solo", "mute"]) {
        const button = row.querySelector(`.${kind}`);
        button.setAttribute("aria-label", `${kind} ${name}`);
        button.onclick = () => press(root, s, i, kind);
      }
      return row;
    }),
  );
  for (const kind of ["normalise", "share"]) {
    root.querySelector(`.${kind}`).onclick = () => {
      s[kind] = !s[kind];
      emit(root, s, false);
    };
  }
}

function set(root, s, i, value, moving) {
  const free = s.locked.map((locked, k) => !locked && !s.muted[k]);
  s.values = s.share
    ? share(s.start ?? s.values, i, value, free, s.data.low, s.data.high)
    : s.values.map((v, k) => (k === i ? value : v));
  emit(root, s, moving);
}

// A pointer fires `change` at release, keys at every step: these are at rest a while after the last one.
function settle(root, s) {
  clearTimeout(s.commit);
  const rest = () => {
    s.start = null;
    emit(root, s, false);
  };
  if (s.pointer) rest();
  else s.commit = setTimeout(rest, COMMIT_MS);
}

function typed(root, s, i, entry) {
  const value = parse(entry.value);
  const { low, high } = s.data;
  const wrong = value === null || value < low || value > high;
  entry.setAttribute("aria-invalid", wrong);
  const message = root.querySelector(".message");
  message.textContent = wrong
    ? `${s.data.names[i]}: “${entry.value.slice(0, 20)}” is no number from ${low} to ${high}. It stays ${format(s.values[i])}.`
    : "";
  if (wrong) return;
  s.start = null;
  set(root, s, i, value, false);
  entry.value = format(s.values[i]);
}

function press(root, s, i, kind) {
  if (kind === "solo") s.solo = s.solo === i ? null : i;
  if (kind === "mute") s.muted = s.muted.map((m, k) => (k === i ? !m : m));
  if (kind === "lock") s.locked = s.locked.map((l, k) => (k === i ? !l : l));
  emit(root, s, false);
}

/** Tell the server: at most once in `throttle` ms while moving, the newest wins; at rest at once. */
function emit(root, s, moving) {
  paint(root, s);
  const send = () => {
    s.timer = 0;
    s.last = performance.now();
    const { values, locked, muted, solo, normalise, share, version } = s;
    s.send("value", { values, locked, muted, solo, normalise, share, version, moving });
  };
  clearTimeout(s.timer);
  if (moving) {
    s.timer = setTimeout(send, Math.max(0, s.data.throttle - (performance.now() - s.last)));
  } else {
    clearTimeout(s.commit);
    send();
  }
}

function format(value) {
  return (Math.round(value * 1e4) / 1e4).toFixed(2).replace(/^-0\.00$/, "0.00");
}

function paint(root, s) {
  const counts = heard(s);
  const sum = counts.reduce((all, v) => all + v, 0);
  const shown = s.normalise && Math.abs(sum) > 1e-9 ? counts.map((v) => v / sum) : counts;
  [...root.querySelectorAll(".row")].forEach((row, i) => {
    const [slider, entry] = [row.querySelector("[type=range]"), row.querySelector("[type=text]")];
    if (Number(slider.value) !== s.values[i]) slider.value = s.values[i];
    if (entry.getAttribute("aria-invalid") !== "true" && !entry.matches(":focus")) entry.value = format(s.values[i]);
    slider.style.setProperty("--share", `${((s.values[i] - s.data.low) / (s.data.high - s.data.low)) * 100}%`);
    slider.setAttribute("aria-valuetext", `${format(s.values[i])}, counts ${format(shown[i])}`);
    row.querySelector(".counts").textContent = format(shown[i]);
    row.classList.toggle("silent", counts[i] === 0 && s.values[i] !== 0);
    row.querySelector(".lock").setAttribute("aria-pressed", s.locked[i]);
    row.querySelector(".mute").setAttribute("aria-pressed", s.muted[i]);
    row.querySelector(".solo").setAttribute("aria-pressed", s.solo === i);
  });
  for (const kind of ["normalise", "share"]) root.querySelector(`.${kind}`).setAttribute("aria-pressed", s[kind]);
  root.querySelector(".sum").textContent = `sum ${format(sum)}`;
}
