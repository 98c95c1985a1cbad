// Real numbers as pixels. They are computed in 32 bits, as in the uint8 variants of artifacts: half a step is rounded up.

// Returns the function that turns a number into a pixel of 0 to 255; low is black, high is white.
export function pixelsOf([low, high]) {
  const scale = Math.fround(255 / (high - low));
  const shift = Math.fround(0.5 - (low * 255) / (high - low));
  return (value) => {
    const level = Math.floor(Math.fround(Math.fround(value * scale) + shift));
    return Math.min(Math.max(level, 0), 255);
  };
}
