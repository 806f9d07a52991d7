//! Browser tests: a real server, Chromium, each person in a context of their own. One after the other: they share two cores.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['e2e/**/*.spec.ts'],
    environment: 'node',
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 40_000,
  },
})
