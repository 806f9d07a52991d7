//! The bundle: stable names, no source maps, and the editor apart from the shell, so that a small change makes a
//! small diff in `static/` and the list of documents opens without loading an editor.
import { defineConfig } from 'vite'

/** Chunks by what they hold; the vendor ones change only with a dependency. */
const vendorGroups = [
  { name: 'vendor-crdt', test: /node_modules[\\/](yjs|lib0|y-protocols|y-indexeddb)[\\/]/ },
  {
    name: 'vendor-editor',
    test: /node_modules[\\/](@tiptap|prosemirror-|y-prosemirror|orderedmap|rope-sequence|w3c-keyname|linkifyjs)/,
  },
  { name: 'vendor-ui', test: /node_modules[\\/](preact|@preact|lucide)[\\/]/ },
]

export default defineConfig({
  base: '/',
  publicDir: 'public',
  build: {
    outDir: '../static',
    emptyOutDir: true,
    sourcemap: false,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    reportCompressedSize: false,
    rolldownOptions: {
      output: {
        entryFileNames: 'assets/app.js',
        chunkFileNames: 'assets/[name].js',
        assetFileNames: 'assets/[name][extname]',
        codeSplitting: { groups: vendorGroups },
      },
    },
  },
})
