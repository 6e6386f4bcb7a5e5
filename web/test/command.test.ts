import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { curl } from '../src/command/curl';
import { openstack } from '../src/command/openstack';
import { all, resourceOf } from '../src/kinds';
import { bodyOf, initial, veiled } from '../src/resource/body';
import { del, post, put, type Action, type Scope, type Value, type Values } from '../src/resource/resource';

const source = join(import.meta.dirname, '../src');
const read = (file: string) => readFileSync(join(source, file), 'utf8');

const scope: Scope = { project: { id: 'p', name: 'p' }, user: { id: 'u', name: 'u' }, roles: ['member'], operator: true, all: false };

describe('the openstack command', () => {
  it.each([
    [post('network', '/networks', { network: { name: "it's", shared: true } }), "openstack network create --share 'it'\\''s'"],
    [put('network', '/routers/r', { router: { external_gateway_info: null } }), 'openstack router set --no-external-gateway r'],
    [put('network', '/floatingips/f', { floatingip: { port_id: 'p' } }), 'openstack floating ip set --port p f'],
    [put('network', '/floatingips/f', { floatingip: { port_id: null } }), 'openstack floating ip unset --port f'],
    [
      post('network', '/security-group-rules', { security_group_rule: { security_group_id: 'g', direction: 'egress', port_range_min: 22, port_range_max: 22 } }),
      'openstack security group rule create --egress --dst-port 22 g',
    ],
    [post('volume', '/volumes/v/action', { 'os-extend': { new_size: 3 } }), 'openstack volume set --size 3 v'],
    [post('volume', '/backups/b/restore', { restore: {} }), 'openstack volume backup restore b'],
    [post('volume', '/backups/b/restore', { restore: { name: 'new' } }), 'openstack volume backup restore b new'],
    [del('object', '/AUTH_p/c/a/b%20c'), "openstack object delete c 'a/b c'"],
    [put('network', '/ports/p', { port: { qos_policy_id: null } }), 'openstack port unset --qos-policy p'],
    [{ service: 'volume' as const, method: 'GET' as const, path: '/qos-specs/q/disassociate?vol_type_id=t' }, 'openstack volume qos disassociate --volume-type t q'],
    [del('volume', '/types/t/encryption/provider'), 'openstack volume type unset --encryption-type t'],
    [post('identity', '/OS-TRUST/trusts', { trust: { trustor_user_id: 'a', trustee_user_id: 'b', project_id: 'p', roles: [{ name: 'member' }], impersonation: false } }), 'openstack trust create --project p --role member --no-impersonate a b'],
    [put('identity', '/OS-INHERIT/domains/d/groups/g/roles/r/inherited_to_projects'), 'openstack role add --inherited --domain d --group g r'],
    [del('identity', '/system/users/u/roles/r'), 'openstack role remove --system all --user u r'],
    [post('identity', '/credentials', { credential: { type: 'totp', user_id: 'u', blob: '$PASSWORD' } }), 'openstack credential create --type totp u "$PASSWORD"'],
    [post('identity', '/limits', { limits: [{ service_id: 's', resource_name: 'n', project_id: 'p', resource_limit: 3 }] }), 'openstack limit create --service s --project p --resource-limit 3 n'],
    [post('network', '/networks', { network: { name: 'n', unheard: 1 } }), null],
    [post('network', '/unheard', {}), null],
  ])('%#', (call, want) => {
    expect(openstack(call)).toBe(want);
  });
});

it('curl says the whole request', () => {
  expect(curl([post('volume', '/volumes', { volume: { name: 'a b' } })], 'http://cloud')).toBe(
    'TOKEN=$(openstack token issue -f value -c id)\n' +
      `curl -X POST http://cloud/volume/v3/volumes -H "X-Auth-Token: $TOKEN" -H 'OpenStack-API-Version: volume 3.70' -H 'Content-Type: application/json' -d '{"volume":{"name":"a b"}}'`,
  );
});

// What curl says and the openstack command cannot: tags and metadata of a server as a whole, which volumes a group has,
// taking tags or keys away, access to what is there already, how often a trust
// can be used, and what OpenStack does not have.
const unsaid = ['server-tags', 'server-metadata', 'server-inject-network', 'volume-group-volume', 'volume-group-add', 'volume-group-remove', 'image-edit', 'volume-edit', 'aggregate-metadata', 'container-access', 'trust-create', 'openid-create', 'openid-delete'];

/** Something for each field, as somebody might type. */
function filled(action: Action<unknown>): Values {
  const value: Record<string, Value> = { number: 7, switch: true, choices: ['x'], lines: '10.0.0.1 10.0.0.2', pairs: 'a=1' };
  return Object.fromEntries((action.fields ?? []).map((field) => [field.key, field.initial ?? value[field.kind] ?? 'x'].map((v) => (typeof v === 'function' ? 'x' : v))));
}

// Loading all their code takes longer than a test may.
const resources = await Promise.all(all.map(resourceOf));

describe.each(resources)('every dialog of $kind', (resource) => {
  it('can be shown as a command, or is known not to be', () => {
    const row = { id: 'i', service: { id: 's', host: 'h' }, role: { id: 'r' }, user: { id: 'u' }, scope: { project: { id: 'p' } }, enabled: true, access: 'a', volume_types: [], of: { id: 'f' }, addresses: [], prefixes: [], specs: {}, name: 'n', status: 'available', attachments: [], fixed_ips: [], routes: [], hosts: [], metadata: {}, tags: [], allocation_pools: [], host_routes: [], allowed_address_pairs: [], dns_nameservers: [], security_groups: [] };
    for (const action of [...(resource.create ?? []), ...(resource.actions ?? [])]) {
      if (action.call === undefined || unsaid.includes(action.key)) {
        continue;
      }
      const values = action.fields?.map((f) => f.key).includes('remote_ip_prefix') ? { ...filled(action), remote_group_id: null } : filled(action);
      const call = action.call(bodyOf(action, { ...initial(action, row), ...values }, row, scope), row, scope);
      expect(openstack(call), `${action.key}: ${JSON.stringify(call)}`).toMatch(/^openstack /);
    }
  });
});

it('curl reads a password where the form was given one', () => {
  const action: Action<unknown> = { key: 'u', word: 'resource.edit', fields: [{ key: 'password', label: 'account.password', kind: 'secret' }] };
  const values = veiled(action, { name: "o'n", password: 'typed' });
  const said = curl([post('identity', '/users', { user: values })], 'http://cloud');
  expect(said).not.toContain('typed');
  expect(said).toMatch(/^TOKEN=.*\nread -rs PASSWORD\ncurl /);
  expect(said).toContain(`-d '{"user":{"name":"o'\\''n","password":"'"$PASSWORD"'"}}'`);
});

it('is on every form that asks the cloud for a change', () => {
  // Signing in has no command, who reaches whom and who may do what changes nothing, and a shared
  // address is signed here: it is itself what curl takes.
  const none = ['pages/sign-in.tsx', 'pages/reach.tsx', 'pages/why.tsx', 'pages/objects/share.tsx'];
  const sources = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.tsx') && !none.includes(file));
  const forms = sources.filter((file) => /<Form[\s<>]|<Modal/.test(read(file)) && /perform\(|onFinish/.test(read(file)));
  expect(forms.length).toBeGreaterThan(6);
  expect(forms.filter((file) => !read(file).includes('<AsCommand'))).toEqual([]);
});

describe('what is sent', () => {
  const edit: Action<unknown> = {
    key: 'e',
    word: 'resource.edit',
    edits: true,
    fields: [
      { key: 'name', label: 'field.name', kind: 'text' },
      { key: 'tags', label: 'image.tags', kind: 'lines' },
      { key: 'metadata', label: 'field.metadata', kind: 'pairs' },
    ],
  };
  const row = { name: 'n', tags: ['a', 'b'], metadata: { k: 'v' } };

  it('is what was changed', () => {
    const before = initial(edit, row);
    expect(before).toEqual({ name: 'n', tags: 'a\nb', metadata: 'k=v' });
    expect(bodyOf(edit, before, row, scope)).toEqual({});
    expect(bodyOf(edit, { ...before, tags: 'a', metadata: 'k=v\nl = w=x' }, row, scope)).toEqual({ tags: ['a'], metadata: { k: 'v', l: 'w=x' } });
  });

  it('is what was filled in, where it is asked for', () => {
    const create: Action<unknown> = {
      ...edit,
      edits: false,
      fields: [...(edit.fields ?? []), { key: 'hidden', label: 'field.name', kind: 'text', initial: 'x', when: (values) => values['name'] === 'show' }],
    };
    expect(bodyOf(create, { name: ' a ', hidden: 'x' }, undefined, scope)).toEqual({ name: 'a', metadata: {} });
    expect(bodyOf(create, { name: 'show', hidden: 'x' }, undefined, scope, { tags: 'of here' })).toEqual({ name: 'show', tags: ['of here'], metadata: {}, hidden: 'x' });
  });
});
