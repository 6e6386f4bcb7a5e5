// Object storage as the pages use it: an account for the project, containers,
// and names with slashes that look like folders.
import { ask, exchange, prefix, type Call } from './client';

export interface Container {
  name: string;
  count: number;
  bytes: number;
  last_modified: string;
}

export interface Entry {
  /** A folder, when there is no hash. */
  name: string;
  bytes: number;
  content_type: string;
  last_modified: string | null;
  folder: boolean;
}

interface Listed {
  name?: string;
  subdir?: string;
  bytes?: number;
  content_type?: string;
  last_modified?: string;
}

export const account = (project: string) => `/AUTH_${project}`;
const encoded = (name: string) => name.split('/').map(encodeURIComponent).join('/');
export const containerPath = (project: string, container: string) => `${account(project)}/${encodeURIComponent(container)}`;
export const objectPath = (project: string, container: string, name: string) => `${containerPath(project, container)}/${encoded(name)}`;
export const objectUrl = (path: string) => location.origin + prefix.object + path;

export async function containers(project: string, signal: AbortSignal): Promise<Container[]> {
  const found: Container[] = [];
  for (let marker = ''; ; ) {
    const page = await ask<Container[] | undefined>('object', `${account(project)}?format=json&marker=${encodeURIComponent(marker)}`, { signal });
    const last = page?.at(-1);
    if (page === undefined || last === undefined) {
      return found;
    }
    found.push(...page);
    marker = last.name;
  }
}

/** How many entries of a folder are shown at once. */
export const pageSize = 500;

/** What stands in a folder, in the order of names, after one of them. */
export async function entries(project: string, container: string, folder: string, marker: string, signal?: AbortSignal): Promise<Entry[]> {
  const query = new URLSearchParams({ format: 'json', delimiter: '/', prefix: folder, marker, limit: String(pageSize) });
  const listed = await ask<Listed[] | undefined>('object', `${containerPath(project, container)}?${query}`, signal && { signal });
  return (listed ?? []).map((entry) => ({
    name: entry.subdir ?? entry.name ?? '',
    bytes: entry.bytes ?? 0,
    content_type: entry.content_type ?? '',
    last_modified: entry.last_modified ?? null,
    folder: entry.subdir !== undefined,
  }));
}

/** The headers that say something of a container or an object, by lower-case name. */
export async function head(path: string, signal?: AbortSignal): Promise<Record<string, string>> {
  const reply = await exchange('object', path, { method: 'HEAD', ...(signal && { signal }) });
  return Object.fromEntries(reply.headers.entries());
}

/** The metadata among headers. */
export const metadata = (headers: Record<string, string>, kind: 'container' | 'object') =>
  Object.fromEntries(
    Object.entries(headers)
      .filter(([name]) => name.startsWith(`x-${kind}-meta-`) && !name.includes('temp-url-key'))
      .map(([name, value]) => [name.slice(`x-${kind}-meta-`.length), value]),
  );

export const putContainer = (project: string, name: string): Call => ({ service: 'object', method: 'PUT', path: containerPath(project, name) });
export const remove = (path: string): Call => ({ service: 'object', method: 'DELETE', path });
export const change = (path: string, headers: Record<string, string>): Call => ({ service: 'object', method: 'POST', path, headers });

/** An object's bytes, and how much of them has come. */
export async function download(path: string, came: (part: number) => void, signal: AbortSignal): Promise<Blob> {
  const reply = await fetch(prefix.object + path, { headers: { 'X-Nacre-Dashboard': '1' }, signal });
  if (!reply.ok || reply.body === null) {
    await exchange('object', path, { method: 'HEAD', signal }); // says what is wrong as every error is said
    throw new Error(reply.statusText);
  }
  const total = Number(reply.headers.get('Content-Length') ?? 0);
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let got = 0;
  for (const reader = reply.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) {
      return new Blob(parts, { type: reply.headers.get('Content-Type') ?? 'application/octet-stream' });
    }
    parts.push(value);
    got += value.length;
    came(total === 0 ? 0 : got / total);
  }
}

const hex = (bytes: ArrayBuffer) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('');

/** A key that nobody guesses. */
export const newKey = () => hex(crypto.getRandomValues(new Uint8Array(24)).buffer);

/** An address by which anybody can read the object for some seconds: signed here, with the container's key. */
export async function temporaryUrl(path: string, key: string, seconds: number, now = Date.now()): Promise<string> {
  const until = Math.floor(now / 1000) + seconds;
  const full = prefix.object + path;
  const secret = await crypto.subtle.importKey('raw', new TextEncoder().encode(key), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  const signature = hex(await crypto.subtle.sign('HMAC', secret, new TextEncoder().encode(`GET\n${until}\n${decodeURIComponent(full)}`)));
  return `${location.origin}${full}?temp_url_sig=${signature}&temp_url_expires=${until}`;
}
