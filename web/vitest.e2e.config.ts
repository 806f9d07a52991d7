//! Browser tests: a real server, Chromium, each person in a context of their own. One after the other: they share two cores.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['e2e/**/*.spec.ts'],
    environment: 'node',
    fileParallelism: false,
    // Far above what anything takes: a machine that is lent out is sometimes a tenth as fast.
    testTimeout: 180_000,
    hookTimeout: 120_000,
  },
})
