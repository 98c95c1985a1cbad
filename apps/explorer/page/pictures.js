// Data as pictures, as pocketvae.kinds shows them: images as they are, vectors and sequences as curves, volumes flat.

import { pixelsOf } from "./pixels.js";

const [WIDTH, HEIGHT, MARGIN] = [640, 320, 4];
// Told apart by the colour-blind (Okabe and Ito 2008), on white in dark mode too.
const COLOURS = ["#000000", "#0072b3", "#d65e00", "#009e73", "#cc78ab", "#e69e00", "#57b5e8", "#f0e442"];

// Draws one item of a kind and a shape; `range` is what the lowest and the highest shown value are.
export function paint(canvas, values, kind, shape, range) {
  if (kind === "vector" || kind === "sequence") paintCurves(canvas, curves(values, shape, range));
  else if (kind === "volume") paintImage(canvas, meanAlongDepth(values, shape), [shape[1], shape[2], 1], range);
  else paintImage(canvas, values, shape, range);
}

// Returns a line for each channel, heights from 0 to 1: what leaves the range runs along the edge, NaN along the top.
export function curves(values, shape, [low, high]) {
  const channels = shape[1] ?? 1;
  const height = (value) => (Number.isNaN(value) ? 1 : Math.min(Math.max((value - low) / (high - low), 0), 1));
  return Array.from({ length: channels }, (_, channel) =>
    Array.from({ length: shape[0] }, (_, step) => height(values[step * channels + channel])),
  );
}

// Returns the first channel of a volume `[D, H, W, C]`, its mean along the depth, row by row.
export function meanAlongDepth(values, [depth, height, width, channels]) {
  const size = height * width;
  return Float32Array.from({ length: size }, (_, place) => {
    let sum = 0;
    for (let layer = 0; layer < depth; layer += 1) sum += values[(layer * size + place) * channels];
    return sum / depth;
  });
}

function paintCurves(canvas, lines) {
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = canvas.getContext("2d");
  context.fillStyle = "#ffffff";
  context.fillRect(0, 0, WIDTH, HEIGHT);
  context.lineWidth = 2;
  context.lineJoin = "round";
  const y = (share) => MARGIN + (1 - share) * (HEIGHT - 2 * MARGIN);
  lines.forEach((line, channel) => {
    // One value alone is a level line.
    const shares = line.length > 1 ? line : [line[0], line[0]];
    context.strokeStyle = COLOURS[channel % COLOURS.length];
    context.beginPath();
    shares.forEach((share, step) => context.lineTo((step / (shares.length - 1)) * WIDTH, y(share)));
    context.stroke();
  });
}

function paintImage(canvas, values, [height, width, channels], range) {
  [canvas.width, canvas.height] = [width, height];
  const pixels = new ImageData(width, height);
  const toPixel = pixelsOf(range);
  for (let i = 0; i < width * height; i += 1) {
    for (let c = 0; c < 3; c += 1) {
      const value = values[i * channels + (channels === 3 ? c : 0)];
      pixels.data[4 * i + c] = toPixel(value);
    }
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}
