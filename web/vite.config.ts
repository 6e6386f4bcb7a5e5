import react from '@vitejs/plugin-react';
import { defineConfig } from 'vitest/config';
import { spiceHtml5 } from './scripts/spice-html5';

// The build goes into the Go package that embeds it. public/.keep is copied
// along, so that the folder exists also in a clone that was never built.
export default defineConfig({
  base: '/dashboard/',
  plugins: [react(), spiceHtml5()],
  build: {
    outDir: '../internal/console/dist',
    emptyOutDir: true,
    target: 'es2022',
    reportCompressedSize: false,
    manifest: 'manifest.json',
    chunkSizeWarningLimit: 1500,
  },
  // `npm run dev` serves the pages and leaves the cloud to a running server.
  server: {
    proxy: Object.fromEntries(
      ['/dashboard/session', '/identity', '/oidc', '/image', '/compute', '/network', '/volume', '/v1', '/placement', '/nacre', '/console'].map(
        (path) => [path, { target: process.env['NACRE'] ?? 'http://127.0.0.1:5000', ws: path === '/console' }],
      ),
    ),
  },
  test: {
    environment: 'jsdom',
    include: ['test/**/*.test.{ts,tsx}'],
  },
});
