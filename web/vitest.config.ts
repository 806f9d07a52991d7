//! Unit tests: the sync layer, the editor's guards, and what a session writes. They run in happy-dom.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: { include: ['test/**/*.test.ts'], environment: 'happy-dom', setupFiles: ['test/setup.ts'] },
})
