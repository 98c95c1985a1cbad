// The page: controls make a latent, the exported decoder in this browser makes the image, or another item.

import { embed } from "./embed.js";
import { median, spherical } from "./latents.js";
import { normalNoise } from "./noise.js";
import { temperature, wholeNumber } from "./numbers.js";
import { paint } from "./pictures.js";

const byId = (id) => document.getElementById(id);
const DIFFERENCE_GAIN = 16;
const KEPT_TIMES = 30;
const SLIDER_SPAN = 4;

const state = { z: null, draws: 0, times: [], running: false, again: false };
let bundle, table, reference, models;

const whole = (id) => wholeNumber(byId(id).value, byId(id).parentElement.textContent.trim());
const label = () => (bundle.label_count ? Number(byId("label").value) : 0);
const chosen = () => bundle.decoders.find((decoder) => decoder.file === byId("artifact").value);

async function latentOf(seed, index) {
  const noise = normalNoise(table, seed, index, bundle.eps_dim);
  const scale = temperature(byId("temperature").value);
  for (let i = 0; i < bundle.latent_dim; i += 1) noise[i] *= scale;
  return bundle.prior ? models.transform(bundle.prior, noise, label()) : noise;
}

async function drawLatent() {
  state.draws += 1;
  const draw = state.draws;
  try {
    const [index, share] = [whole("index"), Number(byId("share").value)];
    let z = await latentOf(whole("seed"), index);
    if (share > 0) z = Float32Array.from(spherical(z, await latentOf(whole("seed2"), index), share));
    // A learned prior takes its time: what was asked for meanwhile must not be replaced by what was asked for before.
    if (draw !== state.draws) return;
    state.z = z;
  } catch (error) {
    if (error instanceof RangeError) report(error.message);
    else fail(`This browser could not run ${bundle.prior}: ${error.message}`);
    return;
  }
  showSliders();
  await show();
}

function showSliders() {
  for (const slider of byId("sliders").querySelectorAll("input")) {
    const value = state.z[slider.dataset.dimension];
    // A slider ends at its span, the latent need not.
    slider.value = value;
    slider.nextElementSibling.value = value.toFixed(2);
  }
}

// One inference at a time; what has changed meanwhile is shown by one more, not by a queue.
async function show() {
  state.again = true;
  if (state.running) return;
  state.running = true;
  try {
    while (state.again) {
      state.again = false;
      await render();
      byId("message").hidden = true;
    }
  } catch (error) {
    fail(`This browser could not run ${chosen().file}: ${error.message}`);
  } finally {
    state.running = false;
  }
}

async function render() {
  const { z } = state;
  const decoder = chosen();
  // The output that holds the data has the name of its kind.
  const run = (file) => models.decode(file, z, label(), bundle.latents, bundle.data);
  const result = await run(decoder.file);
  state.times = [...state.times, result.ms].slice(-KEPT_TIMES);
  const draw = (id, values, range) => paint(byId(id), values, bundle.data, bundle.data_shape, range);
  draw("image", result.item, bundle.data_range);
  if (reference) {
    const original = decoder.file === reference.file ? result : await run(reference.file);
    draw("original", original.item, bundle.data_range);
    const difference = result.item.map((value, i) => Math.abs(value - original.item[i]));
    const span = bundle.data_range[1] - bundle.data_range[0];
    draw("difference", difference, [0, span / DIFFERENCE_GAIN]);
    const share = difference.reduce((a, b) => Math.max(a, b), 0) / span;
    const worst = bundle.data === "image" ? `${(255 * share).toFixed(2)} of 255` : `${(100 * share).toFixed(3)} % of the range`;
    byId("deviation").textContent = `largest difference ${worst}, shown ${DIFFERENCE_GAIN} times`;
  }
  byId("latency").textContent =
    `${result.ms.toFixed(2)} ms, median of ${state.times.length}: ${median(state.times).toFixed(2)} ms`;
  const [kind, dataShape] = [bundle.data, bundle.data_shape];
  const place = { ...decoder, z, label: label(), latents: bundle.latents, conditional: bundle.label_count > 0, kind, dataShape };
  byId("code").textContent = embed[byId("language").value](place);
  document.body.dataset.shown = String(Number(document.body.dataset.shown || 0) + 1);
}

function report(text) {
  byId("message").textContent = text;
  byId("message").hidden = false;
}

function fail(text) {
  byId("latency").textContent = "";
  report(text);
}

// Where there is no clipboard, as on a page that is not served by this machine or by https, the code is marked.
async function copyCode() {
  const say = (text) => {
    byId("copy").textContent = text;
    setTimeout(() => (byId("copy").textContent = "Copy"), 3000);
  };
  try {
    await navigator.clipboard.writeText(byId("code").textContent);
    say("Copied");
  } catch {
    getSelection().selectAllChildren(byId("code"));
    say("Press Ctrl-C");
  }
}

function build() {
  document.title = `${bundle.name}: explore`;
  byId("name").textContent = bundle.name;
  for (const decoder of bundle.decoders) {
    byId("artifact").add(new Option(`${decoder.precision}, ${Math.round(decoder.size_bytes / 1000)} kB`, decoder.file));
  }
  // What people come to see is how the smallest file differs from float32.
  const first = bundle.decoders.find((decoder) => decoder.precision === "int8") ?? bundle.decoders.find((decoder) => decoder !== reference);
  if (first) byId("artifact").value = first.file;
  byId("label-row").hidden = bundle.label_count === 0;
  for (let i = 0; i < bundle.label_count; i += 1) byId("label").add(new Option(String(i), String(i)));
  byId("comparison").hidden = !reference;
  if (bundle.data === "vector" || bundle.data === "sequence") {
    const [low, high] = bundle.data_range.map((value) => Number(value.toPrecision(4)));
    byId("image").nextElementSibling.textContent = `this decoder, from ${low} to ${high}`;
  }
  for (const dimension of bundle.order) {
    const row = document.createElement("label");
    row.innerHTML = `<span>z<sub>${dimension}</sub></span>
      <input type="range" min="${-SLIDER_SPAN}" max="${SLIDER_SPAN}" step="0.01" data-dimension="${dimension}"><output></output>`;
    row.querySelector("input").setAttribute("aria-label", `latent dimension ${dimension}`);
    byId("sliders").append(row);
  }
}

function listen() {
  for (const id of ["seed", "index", "seed2", "share", "temperature"]) byId(id).addEventListener("input", drawLatent);
  byId("sliders").addEventListener("input", ({ target }) => {
    state.z = Float32Array.from(state.z);
    state.z[target.dataset.dimension] = target.value;
    target.nextElementSibling.value = Number(target.value).toFixed(2);
    show();
  });
  for (const id of ["artifact", "label", "language"]) {
    byId(id).addEventListener("change", () => {
      if (id === "artifact") state.times = [];
      // A latent is one of its label where the prior takes it.
      if (id === "label" && bundle.prior_takes_label) drawLatent();
      else show();
    });
  }
  const step = (by) => {
    byId("index").value = Number(byId("index").value) + by;
    drawLatent();
  };
  const actions = {
    next: () => step(1),
    previous: () => step(-1),
    reset: drawLatent,
    copy: copyCode,
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=number], select")) return;
    const action = { n: actions.next, p: actions.previous, r: actions.reset }[event.key];
    if (action) action();
  });
}

async function load(file) {
  const answer = await fetch(file);
  if (!answer.ok) throw new Error(`${file} is not there (${answer.status})`);
  return answer;
}

async function begin() {
  bundle = await (await load("./bundle.json")).json();
  reference = bundle.decoders.find((decoder) => decoder.precision === "float32");
  state.z = new Float32Array(bundle.latent_dim);
  build();
  table = new Float32Array(await (await load("./noise.bin")).arrayBuffer());
  // Last, because the runtime is most of what is to be loaded.
  models = await import("./models.js");
  listen();
  await drawLatent();
  byId("decoder-row").hidden = false;
  document.querySelector("main").hidden = false;
}

begin().catch((error) => fail(`The page could not be loaded: ${error.message}`));
