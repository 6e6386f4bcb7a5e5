import { afterEach, describe, expect, it, vi } from 'vitest';
import { all, ApiError, ask, sentence } from '../src/api/client';

afterEach(() => {
  vi.unstubAllGlobals();
});

/** Answers in turn, and remembers what was asked. */
function cloud(...replies: (() => Response | Promise<Response>)[]) {
  const asked: { url: string; init: RequestInit }[] = [];
  vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
    asked.push({ url, init });
    const reply = replies.shift();
    if (reply === undefined) {
      throw new Error(`nobody expected ${url}`);
    }
    return Promise.resolve().then(reply);
  });
  return asked;
}

const json = (body: unknown, status = 200, headers: Record<string, string> = {}) => () =>
  new Response(JSON.stringify(body), { status, headers });

describe('a request', () => {
  it('carries the guard header, the microversion and JSON', async () => {
    const asked = cloud(json({ server: { id: '1' } }, 202));
    await ask('compute', '/servers', { method: 'POST', body: { server: {} } });
    expect(asked[0]?.url).toBe('/compute/v2.1/servers');
    expect(asked[0]?.init.headers).toMatchObject({
      'X-Nacre-Dashboard': '1',
      'OpenStack-API-Version': 'compute 2.98',
      'Content-Type': 'application/json',
    });
    expect(asked[0]?.init.body).toBe('{"server":{}}');
  });

  it('names no version to services that have none', async () => {
    const asked = cloud(json({ networks: [] }));
    await ask('network', '/networks');
    expect(asked[0]?.init.headers).not.toHaveProperty('OpenStack-API-Version');
  });

  it('may have no answer body', async () => {
    cloud(() => new Response(null, { status: 204 }));
    await expect(ask('compute', '/servers/1', { method: 'DELETE' })).resolves.toBeUndefined();
  });

  it('tells why it was refused', async () => {
    cloud(json({ forbidden: { code: 403, message: 'Quota exceeded' } }, 403, { 'X-Openstack-Request-Id': 'req-1' }));
    const error = await ask('compute', '/servers', { method: 'POST' }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(ApiError);
    expect(error).toMatchObject({ status: 403, message: 'Quota exceeded', requestId: 'req-1' });
  });

  it('tells when nobody answers', async () => {
    cloud(() => Promise.reject(new TypeError('Failed to fetch')));
    await expect(ask('compute', '/servers')).rejects.toMatchObject({ status: 0 });
  });

  it('is no error when it was called off', async () => {
    const stop = new AbortController();
    cloud(() => {
      stop.abort();
      return Promise.reject(new DOMException('aborted', 'AbortError'));
    });
    await expect(ask('compute', '/servers', { signal: stop.signal })).rejects.not.toBeInstanceOf(ApiError);
  });
});

describe('error envelopes', () => {
  it.each([
    ['identity', '{"error":{"code":401,"title":"Unauthorized","message":"Who?"}}', 'Who?'],
    ['compute', '{"itemNotFound":{"code":404,"message":"Instance x could not be found."}}', 'Instance x could not be found.'],
    ['network', '{"NeutronError":{"type":"PortNotFound","message":"Port x.","detail":""}}', 'Port x.'],
    ['network fault', '{"NeutronError":"Request Failed"}', 'Request Failed'],
    ['image', '{"message":"No image.","code":"404 Not Found","title":"Not Found"}', 'No image.'],
    ['placement', '{"errors":[{"status":404,"title":"Not Found","detail":"No provider."}]}', 'No provider.'],
    ['plain text', 'Nothing here\n', 'Nothing here'],
    ['a page', '<html><body>Bad gateway</body></html>', null],
    ['nothing', '', null],
  ])('of %s', (_, text, want) => {
    expect(sentence(text)).toBe(want);
  });
});

describe('a list', () => {
  const signal = new AbortController().signal;

  it('follows links to its end, whatever host they name', async () => {
    const asked = cloud(
      json({ servers: [1, 2], servers_links: [{ rel: 'next', href: 'https://inner:8774/compute/v2.1/servers/detail?limit=2&marker=2' }] }),
      json({ servers: [3] }),
    );
    await expect(all('compute', '/servers/detail?limit=2', 'servers', signal)).resolves.toEqual([1, 2, 3]);
    expect(asked[1]?.url).toBe('/compute/v2.1/servers/detail?limit=2&marker=2');
  });

  it("follows the image service's links", async () => {
    const asked = cloud(json({ images: ['a'], next: '/v2/images?limit=1&marker=a' }), json({ images: [] }));
    await expect(all('image', '/images?limit=1', 'images', signal)).resolves.toEqual(['a']);
    expect(asked[1]?.url).toBe('/image/v2/images?limit=1&marker=a');
  });

  it('stops where it was told to', async () => {
    cloud(json({ servers: [1, 2], servers_links: [{ rel: 'next', href: '/compute/v2.1/servers?marker=2' }] }));
    await expect(all('compute', '/servers', 'servers', signal, 2)).resolves.toEqual([1, 2]);
  });
});
