// The arithmetic of the coefficient panel: pure functions without a document.
// Coefficients are whole ten-thousandths, so that a sum that must stay does stay, to the last digit.
const UNIT = 10000;
const inUnits = (x) => Math.round(x * UNIT);
const rounded = (x) => inUnits(x) / UNIT;
const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const total = (numbers) => numbers.reduce((sum, x) => sum + x, 0);

// Two decimals, and more only where there are more.
function format(x) {
  return rounded(x).toFixed(4).replace(/0{1,2}$/, "");
}

// What was typed: {value}, or {problem} in words. A decimal comma is a decimal point.
function readEntry(text, low, high) {
  const plain = text.trim().replace(",", ".").replace("\u2212", "-");
  if (!/^[+-]?(\d+\.?\d*|\.\d+)$/.test(plain)) return { problem: "Not a number" };
  const value = rounded(Number(plain));
  return value < low || value > high ? { problem: `Only ${low} to ${high}` } : { value };
}

// What each parent counts with: nobody but the soloed one, or everybody who is not muted.
function effective(state) {
  const heard = (i) => (state.solo === null ? !state.mute[i] : state.solo === i);
  return state.values.map((value, i) => (heard(i) ? value : 0));
}

// The same divided by their sum, where they have one.
function counted(state) {
  const values = effective(state), sum = total(values);
  return state.normalise && Math.abs(sum) > 1e-9 ? values.map((value) => value / sum) : values;
}

// Scaled to the sum that is left; those of mixed signs, or all zero, move by equal steps instead.
function portions(values, left) {
  const sum = total(values), sameSign = values.every((v) => v >= 0) || values.every((v) => v <= 0);
  return values.map((v) => (sum && sameSign ? (v * left) / sum : v + (left - sum) / values.length));
}

// Whole numbers next to `parts` with the same sum.
function wholes(parts, sum) {
  const down = parts.map(Math.floor), missing = sum - total(down);
  const byRest = parts.map((p, n) => [p - down[n], n]).sort((a, b) => b[0] - a[0]);
  for (const [, n] of byRest.slice(0, missing)) down[n] += 1;
  return down;
}

// `units` with those at `places` brought to the sum `left` within [low, high]. What one can't take, the others do.
function distribute(units, places, left, low, high) {
  const result = [...units];
  let open = places;
  while (open.length) {
    const parts = portions(open.map((i) => units[i]), left);
    const excess = total(parts.map((p) => clamp(p, low, high) - p));
    const stuck = open.filter((_, n) => (excess >= 0 && parts[n] < low) || (excess <= 0 && parts[n] > high));
    if (!stuck.length) {
      wholes(parts, left).forEach((part, n) => (result[open[n]] = part));
      break;
    }
    for (const i of stuck) left -= result[i] = clamp(parts[open.indexOf(i)], low, high);
    open = open.filter((i) => !stuck.includes(i));
  }
  return result;
}

// The values after one was moved and the others that are not held made up for it, so that the sum is that of `values`.
// It moves no further than they can make up for.
function share(values, index, wanted, low, high, held) {
  const units = values.map(inUnits), least = inUnits(low), most = inUnits(high);
  const others = [...units.keys()].filter((i) => i !== index && !held[i]);
  const sum = units[index] + total(others.map((i) => units[i]));
  const from = Math.max(least, sum - others.length * most), to = Math.min(most, sum - others.length * least);
  const moved = clamp(inUnits(wanted), from, to);
  const result = distribute(units, others, sum - moved, least, most);
  result[index] = moved;
  return result.map((u) => u / UNIT);
}
