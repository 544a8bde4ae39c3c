// How the app is built: no source maps, no polyfill, nothing that depends on the machine or the hour.
import { defineConfig } from "vite";

const api = { target: "http://127.0.0.1:4173" };

export default defineConfig({
  build: {
    target: "es2022",
    sourcemap: false,
    modulePreload: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
  },
  server: { proxy: { "/api": api } },
});
