// Latents: the way between two of them, as pocketvae.apps.between goes it.

const SMALL_ANGLE = 1e-4;
const length = (vector) => Math.hypot(...vector);

export function spherical(first, last, share) {
  const lengths = [length(first), length(last)];
  const straight = () => first.map((value, i) => (1 - share) * value + share * last[i]);
  if (share === 0 || share === 1 || Math.min(...lengths) === 0) return straight();
  const cosine = first.reduce((sum, value, i) => sum + (value / lengths[0]) * (last[i] / lengths[1]), 0);
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (angle < SMALL_ANGLE || Math.PI - angle < SMALL_ANGLE) return straight();
  const [near, far] = [Math.sin((1 - share) * angle), Math.sin(share * angle)].map((x) => x / Math.sin(angle));
  return first.map((value, i) => near * value + far * last[i]);
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

// The latents of a decoder from all of them in one array, each with its name and shape.
export function parts(z, latents) {
  let start = 0;
  return latents.map(({ name, shape }) => {
    const end = start + shape.reduce((product, size) => product * size, 1);
    const values = Float32Array.from(z.slice(start, end));
    start = end;
    return { name, values, shape };
  });
}
