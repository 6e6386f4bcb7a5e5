// Fails the build when the page grows beyond what it may cost to open.
//
// Counted is what a browser fetches before the first page can be drawn: the
// entry with everything it imports statically, the larger language, and the
// sign-in page. The code of consoles must not be part of it.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const folder = join(import.meta.dirname, '../../internal/console/dist');
const manifest = JSON.parse(readFileSync(join(folder, 'manifest.json'), 'utf8'));
const budget = 450 * 1024;

function files(key, into = new Set()) {
  const chunk = manifest[key];
  if (chunk === undefined) {
    throw new Error(`the manifest has no ${key}`);
  }
  if (into.has(chunk.file)) {
    return into;
  }
  into.add(chunk.file);
  for (const style of chunk.css ?? []) {
    into.add(style);
  }
  for (const imported of chunk.imports ?? []) {
    files(imported, into);
  }
  return into;
}

const size = (file) => gzipSync(readFileSync(join(folder, file)), { level: 6 }).length;
const initial = files('index.html');
files('src/i18n/zh-CN.ts', initial);
files('src/pages/sign-in.tsx', initial);
let total = 0;
for (const file of initial) {
  total += size(file);
}
const kB = (n) => `${(n / 1024).toFixed(1)} kB`;
console.log(`initial: ${kB(total)} gzip in ${initial.size} files (budget ${kB(budget)})`);
// A word by which the code of each console is known.
for (const [console, word] of [
  ['screen', 'SecurityResult'],
  ['terminal', 'xterm-helper-textarea'],
]) {
  const has = (file) => readFileSync(join(folder, file), 'utf8').includes(word);
  if ([...initial].some(has)) {
    throw new Error(`the ${console} belongs in a chunk of its own that is loaded when it is opened`);
  }
  if (!Object.values(manifest).some((chunk) => has(chunk.file))) {
    throw new Error(`no chunk has the ${console} in it`);
  }
}
// spice-html5 is in no chunk: its licence wants it to be a thing of its own.
const spice = 'SPICE_MSGC_MAIN_ATTACH_CHANNELS';
if (Object.values(manifest).some((chunk) => readFileSync(join(folder, chunk.file), 'utf8').includes(spice))) {
  throw new Error('spice-html5 got into a chunk of ours: load it from its own files (scripts/spice-html5.ts)');
}
if (!readFileSync(join(folder, 'spice-html5/enums.js'), 'utf8').includes(spice) || !existsSync(join(folder, 'spice-html5/COPYING.LESSER.txt'))) {
  throw new Error('spice-html5 or its licence is missing in the build');
}
if (total > budget) {
  throw new Error(`the first page costs ${kB(total)}, the budget is ${kB(budget)}: make a route lazy or drop a dependency`);
}
