// The page: controls make a latent, the exported decoder in this browser makes the image.

import { embed } from "./embed.js";
import { median, spherical } from "./latents.js";
import { decode, transform } from "./models.js";
import { normalNoise } from "./noise.js";

const byId = (id) => document.getElementById(id);
const DIFFERENCE_GAIN = 16;
const KEPT_TIMES = 30;
const SLIDER_SPAN = 4;

const bundle = await (await fetch("./bundle.json")).json();
const table = new Float32Array(await (await fetch("./noise.bin")).arrayBuffer());
const reference = bundle.decoders.find((decoder) => decoder.precision === "float32");
const state = { z: new Float32Array(bundle.latent_dim), times: [], running: false, again: false };

const number = (id) => Number(byId(id).value) | 0;
const chosen = () => bundle.decoders.find((decoder) => decoder.file === byId("artifact").value);

async function latentOf(seed, index) {
  const noise = normalNoise(table, seed, index, bundle.eps_dim);
  const temperature = Math.fround(Number(byId("temperature").value));
  for (let i = 0; i < bundle.latent_dim; i += 1) noise[i] *= temperature;
  return bundle.prior ? transform(bundle.prior, noise) : noise;
}

async function drawLatent() {
  const first = await latentOf(number("seed"), number("index"));
  const share = Number(byId("share").value);
  state.z = share === 0 ? first : Float32Array.from(spherical(first, await latentOf(number("seed2"), number("index")), share));
  showSliders();
  await show();
}

function showSliders() {
  for (const slider of byId("sliders").querySelectorAll("input")) {
    slider.value = state.z[slider.dataset.dimension];
    slider.nextElementSibling.value = Number(slider.value).toFixed(2);
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
    }
  } catch (error) {
    report(`This browser could not run ${chosen().file}: ${error.message}`);
  } finally {
    state.running = false;
  }
}

async function render() {
  const { z } = state;
  const label = bundle.label_count ? number("label") : 0;
  const decoder = chosen();
  const result = await decode(decoder.file, z, label);
  state.times = [...state.times, result.ms].slice(-KEPT_TIMES);
  paint(byId("image"), result.image, bundle.image_range);
  if (reference) {
    const original = decoder.file === reference.file ? result : await decode(reference.file, z, label);
    paint(byId("original"), original.image, bundle.image_range);
    const difference = result.image.map((value, i) => Math.abs(value - original.image[i]));
    const span = bundle.image_range[1] - bundle.image_range[0];
    paint(byId("difference"), difference, [0, span / DIFFERENCE_GAIN]);
    const worst = (255 * difference.reduce((a, b) => Math.max(a, b), 0)) / span;
    byId("deviation").textContent = `largest difference ${worst.toFixed(2)} of 255, shown ${DIFFERENCE_GAIN} times`;
  }
  byId("latency").textContent =
    `${result.ms.toFixed(2)} ms, median of ${state.times.length}: ${median(state.times).toFixed(2)} ms`;
  const place = { ...decoder, z, label, conditional: bundle.label_count > 0 };
  byId("code").textContent = embed[byId("language").value](place);
  document.body.dataset.shown = String(Number(document.body.dataset.shown || 0) + 1);
}

function paint(canvas, values, [low, high]) {
  const [height, width, channels] = bundle.image_shape;
  canvas.width = width;
  canvas.height = height;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      const value = values[i * channels + (channels === 3 ? c : 0)];
      pixels.data[4 * i + c] = Math.round((255 * (value - low)) / (high - low));
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function report(text) {
  byId("message").textContent = text;
  byId("message").hidden = false;
}

function build() {
  document.title = `${bundle.name}: explore`;
  byId("name").textContent = bundle.name;
  for (const decoder of bundle.decoders) {
    byId("artifact").add(new Option(`${decoder.precision}, ${Math.round(decoder.size_bytes / 1000)} kB`, decoder.file));
  }
  byId("label-row").hidden = bundle.label_count === 0;
  for (let label = 0; label < bundle.label_count; label += 1) byId("label").add(new Option(String(label), String(label)));
  byId("comparison").hidden = !reference;
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
      show();
    });
  }
  const step = (by) => {
    byId("index").value = number("index") + by;
    drawLatent();
  };
  const actions = {
    next: () => step(1),
    previous: () => step(-1),
    reset: drawLatent,
    copy: async () => {
      await navigator.clipboard.writeText(byId("code").textContent);
      byId("copy").textContent = "Copied";
      setTimeout(() => (byId("copy").textContent = "Copy"), 1500);
    },
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input[type=number], select")) return;
    const action = { n: actions.next, p: actions.previous, r: actions.reset }[event.key];
    if (action) action();
  });
}

build();
listen();
await drawLatent();
