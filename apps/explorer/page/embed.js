// The code that shows the current image elsewhere.

const list = (z) => `[${Array.from(z, (value) => Number(value.toPrecision(6))).join(", ")}]`;

export const embed = {
  javascript: ({ file, z, label, shape, conditional }) => `import * as ort from "onnxruntime-web/wasm";

const decoder = await ort.InferenceSession.create("${file}");
const z = Float32Array.from(${list(z)});
const { image } = await decoder.run({
  z: new ort.Tensor("float32", z, [1, ${shape.join(", ")}]),${
    conditional ? `\n  label: new ort.Tensor("int32", Int32Array.of(${label}), [1]),` : ""
  }
});
// image.data: Float32Array, image.dims: [1, H, W, C]`,

  python: ({ precision, z, label, conditional }) => `import pocketvae

with pocketvae.open("bundle") as bundle:
    decoder = bundle.decoder(precision="${precision}")
    image = decoder.decode_pixels(${list(z)}${conditional ? `, label=${label}` : ""})[0]  # [H, W, C] uint8`,
};
