// The code that shows the current item elsewhere.

import { parts } from "./latents.js";

const list = (z) => `[${Array.from(z, (value) => Number(value.toPrecision(6))).join(", ")}]`;

export const embed = {
  javascript: ({ file, z, label, latents, conditional, kind, dataShape }) => `import * as ort from "onnxruntime-web/wasm";

const decoder = await ort.InferenceSession.create("${file}");
const tensor = (values, shape) => new ort.Tensor("float32", Float32Array.from(values), shape);
const { ${kind} } = await decoder.run({
${parts(z, latents).map(({ name, values, shape }) => `  ${name}: tensor(${list(values)}, [1, ${shape.join(", ")}]),`).join("\n")}${
    conditional ? `\n  label: new ort.Tensor("int32", Int32Array.of(${label}), [1]),` : ""
  }
});
// ${kind}.data: Float32Array, ${kind}.dims: [1, ${kind === "image" ? "H, W, C" : dataShape.join(", ")}]`,

  python: ({ precision, z, label, conditional, kind, dataShape }) => {
    const decode = kind === "image" ? "decode_pixels" : "decode";
    const what = kind === "image" ? "[H, W, C] uint8" : `[${dataShape.join(", ")}] float32`;
    return `import pocketvae

with pocketvae.open("bundle") as bundle:
    decoder = bundle.decoder(precision="${precision}")
    ${kind} = decoder.${decode}(${list(z)}${conditional ? `, label=${label}` : ""})[0]  # ${what}`;
  },
};
