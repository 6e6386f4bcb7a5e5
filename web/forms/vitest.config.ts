import { defineConfig } from 'vitest/config';

export default defineConfig({ test: { environment: 'node', dir: import.meta.dirname, include: ['**/*.test.ts'], testTimeout: 120_000, bail: 1 } });
