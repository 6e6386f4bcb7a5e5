// One way to ask the cloud. The pages are a client of the public API like any
// other; a cookie and the guard header stand in for the token.

import type { Asked } from '../why';

export type Service = 'identity' | 'image' | 'compute' | 'network' | 'volume' | 'object' | 'nacre' | 'oidc' | 'dashboard';

export const prefix: Record<Service, string> = {
  identity: '/identity/v3',
  image: '/image/v2',
  compute: '/compute/v2.1',
  network: '/network/v2.0',
  volume: '/volume/v3',
  object: '/v1',
  nacre: '/nacre/v1',
  oidc: '/oidc',
  dashboard: '/dashboard',
};

// The newest microversions that these pages know.
export const version: Partial<Record<Service, string>> = {
  compute: 'compute 2.98',
  volume: 'volume 3.70',
};

/** What the cloud answered instead of a success. Status 0: no answer came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly requestId: string | null = null,
    readonly retryAfter: string | null = null,
    /** What was asked for, by which the rule that refused it can be found. */
    readonly asked?: Asked,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface Ask {
  method?: Method;
  body?: unknown;
  /** Beside the usual ones; a media type here is instead of JSON's. */
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

/** A request as data: it can be made, and shown as the command that makes it. */
export interface Call {
  service: Service;
  method: Method;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
  /** What the command line calls it by, where the address says something else. */
  operands?: Record<string, string>;
}

export const perform = ({ service, path, method, body, headers }: Call) =>
  ask<unknown>(service, path, { method, body, ...(headers && { headers }) });

/** What a request carries besides its token. */
export function headersOf({ service, body, headers }: Pick<Call, 'service' | 'body' | 'headers'>): Record<string, string> {
  const spoken = version[service];
  return {
    ...(spoken !== undefined && { 'OpenStack-API-Version': spoken }),
    ...(body !== undefined && { 'Content-Type': 'application/json' }),
    ...headers,
  };
}

/** Asks a service and returns the decoded body; undefined when there is none. */
export async function ask<T>(service: Service, path: string, options: Ask = {}): Promise<T> {
  const reply = await exchange(service, path, options);
  const text = await reply.text();
  // Object storage says in HTML that it has accepted something.
  if (text === '' || (service === 'object' && reply.headers.get('Content-Type')?.includes('json') !== true)) {
    return undefined as T;
  }
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(reply.status, `${prefix[service]}${path}: not JSON`);
  }
}

/** Asks a service and returns its answer, which is a success. */
export async function exchange(service: Service, path: string, { method = 'GET', body, headers, signal }: Ask = {}): Promise<Response> {
  const limit = AbortSignal.timeout(60_000);
  let reply: Response;
  try {
    reply = await fetch(prefix[service] + path, {
      method,
      headers: { Accept: 'application/json', 'X-Nacre-Dashboard': '1', ...headersOf({ service, body, ...(headers && { headers }) }) },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: 'same-origin',
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
  } catch (cause) {
    if (signal?.aborted === true) {
      throw cause;
    }
    throw new ApiError(0, cause instanceof Error ? cause.message : String(cause));
  }
  if (!reply.ok) {
    throw new ApiError(
      reply.status,
      sentence(await reply.text()) ?? reply.statusText,
      reply.headers.get('X-Openstack-Request-Id'),
      reply.headers.get('Retry-After'),
      askedOf(method, prefix[service] + path, body),
    );
  }
  return reply;
}

/** A call as the cloud's rules know it: of an action, its name is a part of it. */
function askedOf(method: Method, path: string, body: unknown): Asked {
  const [plain = ''] = path.split('?');
  const [action] = plain.endsWith('/action') && typeof body === 'object' && body !== null ? Object.keys(body) : [];
  return { method, path: plain, ...(action !== undefined && { action }) };
}

/** Sends a file as it is, and tells how much of it has gone. */
export function send(service: Service, path: string, file: Blob, sent: (part: number) => void, signal: AbortSignal, type = 'application/octet-stream'): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far it is
    request.open('PUT', prefix[service] + path);
    request.setRequestHeader('Accept', 'application/json');
    request.setRequestHeader('Content-Type', type);
    request.setRequestHeader('X-Nacre-Dashboard', '1');
    request.upload.onprogress = (event) => sent(event.total === 0 ? 1 : event.loaded / event.total);
    request.onload = () =>
      request.status < 300
        ? resolve()
        : reject(new ApiError(request.status, sentence(request.responseText) ?? request.statusText, request.getResponseHeader('X-Openstack-Request-Id'), null, askedOf('PUT', prefix[service] + path, null)));
    request.onerror = () => reject(new ApiError(0, ''));
    request.onabort = () => reject(new DOMException('', 'AbortError'));
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}

/** Finds the sentence for the user in any of the services' error envelopes. */
export function sentence(text: string): string | null {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    // A plain sentence is fine, a page of HTML isn't.
    return text !== '' && text.length < 500 && !text.trimStart().startsWith('<') ? text.trim() : null;
  }
  return find(body);
}

function find(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) {
    return null;
  }
  const fields = body as Record<string, unknown>;
  for (const key of ['message', 'detail']) {
    const value = fields[key];
    if (typeof value === 'string' && value !== '') {
      return value;
    }
  }
  for (const [key, value] of Object.entries(fields)) {
    if (key === 'NeutronError' && typeof value === 'string') {
      return value;
    }
    const inner = find(value);
    if (inner !== null) {
      return inner;
    }
  }
  return null;
}

/** Follows `next` links until the list is complete or `most` items are there. */
export async function all<T>(service: Service, path: string, collection: string, signal: AbortSignal, most = 5000, options: Ask = {}): Promise<T[]> {
  const items: T[] = [];
  let next: string | null = path;
  while (next !== null && items.length < most) {
    const page: Record<string, unknown> = await ask<Record<string, unknown>>(service, next, { ...options, signal });
    const got = (page[collection] ?? []) as T[];
    items.push(...got);
    next = got.length === 0 ? null : following(page, collection, service);
  }
  return items;
}

function following(page: Record<string, unknown>, collection: string, service: Service): string | null {
  const links = page[`${collection}_links`] as { rel: string; href: string }[] | undefined;
  const link = links?.find((l) => l.rel === 'next')?.href ?? (page['next'] as string | undefined);
  if (link == null) {
    return null;
  }
  // Links are absolute and may name the host as others see it; only the query
  // and the path after the prefix matter here.
  const url = new URL(link, location.origin);
  const at = url.pathname.indexOf(prefix[service]);
  const rest = at < 0 ? url.pathname.replace(/^\/v[\d.]+/, '') : url.pathname.slice(at + prefix[service].length);
  return rest + url.search;
}
