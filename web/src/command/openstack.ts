// From a request to the `openstack` command that makes the same one.
import type { Call } from '../api/client';
import { quoted } from './curl';
import { spellings, type Option, type Spelling } from './spellings';

/** The command; null where there is none that says all of the request. */
export function openstack(call: Call): string | null {
  for (const spelling of spellings) {
    const found = matched(spelling, call);
    // Of object storage the headers say what bodies say elsewhere.
    const said = found && spoken(spelling, found, call.service === 'object' ? call.headers : call.body);
    if (said !== null) {
      return said;
    }
  }
  return null;
}

type Operands = Record<string, string>;

/** `POST network /routers/{id}` against a call. */
function matched(spelling: Spelling, call: Call): Operands | null {
  const [method, service, pattern = ''] = spelling.on.split(' ');
  if (method !== call.method || service !== call.service || (spelling.envelope !== undefined && !has(call.body, spelling.envelope))) {
    return null;
  }
  const [path = '', query = ''] = call.path.split('?');
  const wanted = pattern.split('/');
  const given = path.split('/');
  if (wanted.at(-1)?.startsWith('{*') === true && given.length >= wanted.length) {
    given.push(given.splice(wanted.length - 1).join('/')); // a name with slashes
  }
  if (wanted.length !== given.length) {
    return null;
  }
  const operands: Operands = { ...Object.fromEntries(new URLSearchParams(query)), ...call.operands };
  for (const [i, part] of wanted.entries()) {
    const value = decodeURIComponent(given[i] ?? '');
    if (part.startsWith('{')) {
      operands[part.replace(/^\{\*?|\}$/g, '')] = value;
    } else if (part !== value) {
      return null;
    }
  }
  return operands;
}

const has = (body: unknown, key: string) => typeof body === 'object' && body !== null && key in body;

function spoken(spelling: Spelling, operands: Operands, body: unknown): string | null {
  const inner = spelling.envelope === undefined ? body : (body as Record<string, unknown>)[spelling.envelope];
  const given = typeof inner === 'object' && inner !== null ? { ...(inner as Record<string, unknown>) } : {};
  const fields = spelling.shape?.(given) ?? given;
  const take = (key: string): unknown => {
    const value = key in fields ? fields[key] : operands[key];
    delete fields[key];
    return value;
  };
  // Operands come last, as the command line wants them after many-valued options.
  const words: string[] = [];
  const last: string[] = [];
  for (const word of spelling.say.split(' ')) {
    if (!word.startsWith('{')) {
      words.push(word);
      continue;
    }
    const name = word.replace(/[{?}]/g, '');
    const value = take(name);
    if (value != null && value !== '') {
      last.push(quoted(String(value)));
    } else if (!word.includes('?')) {
      last.push(name.toUpperCase());
    }
  }
  for (const [key, option] of Object.entries(spelling.options ?? {})) {
    const value = take(key);
    if (value !== undefined) {
      const said = optionWords(option, value);
      if (said === null) {
        return null;
      }
      words.push(...said);
    }
  }
  return Object.values(fields).some((value) => value !== undefined) ? null : ['openstack', ...words, ...last].join(' ');
}

/** An option with its value, as often as it has values; null where the value cannot be said. */
function optionWords(option: Option, value: unknown): string[] | null {
  if (typeof option === 'function') {
    return option(value)?.map(quoted) ?? null;
  }
  if (typeof option === 'object') {
    const flag = value === true ? option.yes : option.no;
    return flag === undefined ? null : flag === '' ? [] : [flag];
  }
  if (value === null) {
    return null;
  }
  const values = Array.isArray(value) ? (value as unknown[]) : [value];
  return values.flatMap((each) =>
    typeof each === 'object' && each !== null
      ? Object.entries(each).flatMap(([key, text]) => [option, quoted(`${key}=${String(text)}`)])
      : [option, quoted(String(each))],
  );
}
