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
