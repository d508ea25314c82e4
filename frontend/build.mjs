// One ES module with every card, from what is here alone.
import { build } from "esbuild";

await build({
  entryPoints: ["src/apis.ts"],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  charset: "utf8",
  outfile: process.argv[2] ?? "../custom_components/apis/frontend/apis.js",
});
