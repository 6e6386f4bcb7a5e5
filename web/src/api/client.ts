// One way to ask the cloud. The pages are a client of the public API like any
// other; a cookie and the guard header stand in for the token.

export type Service = 'identity' | 'image' | 'compute' | 'network' | 'volume' | 'nacre' | 'dashboard';

const prefix: Record<Service, string> = {
  identity: '/identity/v3',
  image: '/image/v2',
  compute: '/compute/v2.1',
  network: '/network/v2.0',
  volume: '/volume/v3',
  nacre: '/nacre/v1',
  dashboard: '/dashboard',
};

// The newest microversions that these pages know.
const version: Partial<Record<Service, string>> = {
  compute: 'compute 2.96',
  volume: 'volume 3.70',
};

/** What the cloud answered instead of a success. Status 0: no answer came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly requestId: string | null = null,
    readonly retryAfter: string | null = null,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

export interface Ask {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  body?: unknown;
  signal?: AbortSignal;
}

/** Asks a service and returns the decoded body; undefined when there is none. */
export async function ask<T>(service: Service, path: string, { method = 'GET', body, signal }: Ask = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', 'X-Nacre-Dashboard': '1' };
  const spoken = version[service];
  if (spoken !== undefined) {
    headers['OpenStack-API-Version'] = spoken;
  }
  if (body !== undefined) {
    headers['Content-Type'] = 'application/json';
  }
  const limit = AbortSignal.timeout(60_000);
  let reply: Response;
  try {
    reply = await fetch(prefix[service] + path, {
      method,
      headers,
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
  const text = await reply.text();
  if (!reply.ok) {
    throw new ApiError(
      reply.status,
      sentence(text) ?? reply.statusText,
      reply.headers.get('X-Openstack-Request-Id'),
      reply.headers.get('Retry-After'),
    );
  }
  if (text === '') {
    return undefined as T;
  }
  try {
    return JSON.parse(text) as T;
  } catch {
    throw new ApiError(reply.status, `${prefix[service]}${path}: not JSON`);
  }
}

/** Sends a file as it is, and tells how much of it has gone. */
export function send(service: Service, path: string, file: Blob, sent: (part: number) => void, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far it is
    request.open('PUT', prefix[service] + path);
    request.setRequestHeader('Accept', 'application/json');
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.setRequestHeader('X-Nacre-Dashboard', '1');
    request.upload.onprogress = (event) => sent(event.total === 0 ? 1 : event.loaded / event.total);
    request.onload = () =>
      request.status < 300
        ? resolve()
        : reject(new ApiError(request.status, sentence(request.responseText) ?? request.statusText, request.getResponseHeader('X-Openstack-Request-Id')));
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
export async function all<T>(service: Service, path: string, collection: string, signal: AbortSignal, most = 5000): Promise<T[]> {
  const items: T[] = [];
  let next: string | null = path;
  while (next !== null && items.length < most) {
    const page: Record<string, unknown> = await ask<Record<string, unknown>>(service, next, { signal });
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
