// spice-html5 goes beside our pages as it came: files of its own, in the form that
// people change it in, with its licence (LGPL 3 or later). Whoever runs the dashboard
// can put another version in their place; the bundler would have mixed it with ours.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Plugin } from 'vite';

const from = join(import.meta.dirname, '../node_modules/@spice-project/spice-html5');

/** Where each file is that a browser may ask for, by its name below spice-html5/. */
function files(): Map<string, string> {
  const all = new Map(['COPYING', 'COPYING.LESSER', 'README'].map((name) => [`${name}.txt`, join(from, name)]));
  for (const folder of ['', 'thirdparty/']) {
    for (const name of readdirSync(join(from, 'src', folder)).filter((each) => each.endsWith('.js'))) {
      all.set(folder + name, join(from, 'src', folder, name));
    }
  }
  return all;
}

export function spiceHtml5(): Plugin {
  return {
    name: 'spice-html5',
    generateBundle() {
      for (const [name, path] of files()) {
        this.emitFile({ type: 'asset', fileName: `spice-html5/${name}`, source: readFileSync(path) });
      }
    },
    configureServer(server) {
      server.middlewares.use('/dashboard/spice-html5', (request, response, next) => {
        const path = files().get((request.url ?? '').slice(1).split('?')[0] ?? '');
        if (path === undefined) {
          next();
          return;
        }
        response.setHeader('Content-Type', path.endsWith('.js') ? 'text/javascript' : 'text/plain');
        response.end(readFileSync(path));
      });
    },
  };
}
