// A cloud that runs, asked by the pages' own tables: whatever a form would
// send is sent.
import { all as kinds, resourceOf, type Kind } from '../src/kinds';
import { perform, type Call } from '../src/api/client';
import { bodyOf, initial } from '../src/resource/body';
import { may, type Action, type AnyResource, type Choice, type Field, type Scope, type Value, type Values } from '../src/resource/resource';

const base = process.env['NACRE'] ?? 'http://127.0.0.1:5000';
const deadline = 60_000;

interface Person {
  token: string;
  scope: Scope;
}

let who: Person;

// The session of a browser becomes a token; addresses have no page to be relative to.
const real = globalThis.fetch;
globalThis.fetch = (path, init) => {
  const headers = new Headers(init?.headers);
  headers.delete('X-Nacre-Dashboard');
  headers.set('X-Auth-Token', who.token);
  return real(base + String(path), { ...init, headers });
};
globalThis.location = new URL(base) as unknown as Location;

export async function signIn(name: string, password: string, operator: boolean): Promise<Person> {
  const domain = { id: 'default' };
  const reply = await real(`${base}/identity/v3/auth/tokens`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ auth: { identity: { methods: ['password'], password: { user: { name, password, domain } } }, scope: { project: { name, domain } } } }),
  });
  const { token } = (await reply.json()) as { token: { project: Scope['project']; user: Scope['user']; roles: { name: string }[] } };
  return { token: reply.headers.get('X-Subject-Token') ?? '', scope: { project: token.project, user: token.user, roles: token.roles.map((role) => role.name), operator, all: false } };
}

/** From here on, this is who asks. */
export const be = (person: Person) => {
  who = person;
};

/** Looks again until something is there. */
export async function until<T>(what: string, look: () => Promise<T | undefined | false>): Promise<T> {
  const end = Date.now() + deadline;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) {
      return found;
    }
    if (Date.now() > end) {
      throw new Error(`waited for ${what}`);
    }
    await new Promise((again) => setTimeout(again, 100));
  }
}

const rows = async (resource: AnyResource) => resource.list(who.scope, new AbortController().signal);
const named = (resource: AnyResource, row: unknown, name: string) => resource.name(row) === name || resource.id(row) === name || resource.terms?.(row).includes(name) === true;

/** The row of a list by its name, once it may be used as asked. */
const rowOf = (resource: AnyResource, name: string, able: (row: unknown) => boolean = () => true) =>
  until(`${resource.kind} ${name}`, async () => (await rows(resource)).find((row) => named(resource, row, name) && able(row)));

/** Its id, to fill into another form. */
export const idOf = async (kind: Kind, name: string) => {
  const resource = await resourceOf(kind);
  return resource.id(await rowOf(resource, name));
};

/** Waits until it is what it should be. */
export const is = async (kind: Kind, name: string, holds: (row: never) => boolean = () => true) => {
  await rowOf(await resourceOf(kind), name, holds as (row: unknown) => boolean);
};

export const gone = async (kind: Kind, name: string) => {
  const resource = await resourceOf(kind);
  await until(`no ${kind} ${name}`, async () => !(await rows(resource)).some((row) => named(resource, row, name)));
};

/** What is typed; a choice is picked by what it is called. */
type Typed = Record<string, Value | { pick: string }>;

async function typed(field: Field<unknown>, given: Typed[string], row: unknown): Promise<Value> {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return given;
  }
  const { options } = field;
  const choice = await until(`${given.pick} among the choices of ${field.key}`, async () => {
    const choices: Choice[] = typeof options === 'function' ? await options(who.scope, row) : (options ?? []);
    return choices.find(({ label }) => label === given.pick) ?? choices.find(({ label }) => label.includes(given.pick));
  });
  return field.kind === 'choices' ? [choice.value] : choice.value;
}

const sent = new Set<string>();

/** Fills in a form of a kind, in the row of that name or to make a new one, and sends it. */
export async function does(kind: Kind, key: string, values: Typed = {}, name = ''): Promise<unknown> {
  const resource = await resourceOf(kind);
  const making = resource.create?.find((each) => each.key === key);
  const action: Action<unknown> | undefined = making ?? resource.actions?.find((each) => each.key === key);
  if (action?.call === undefined || !may(who.scope.roles, action.by ?? 'member')) {
    throw new Error(`${kind} does not offer ${key}`);
  }
  const row = making ? undefined : await rowOf(resource, name, (each) => action.able?.(each, who.scope) !== false);
  const filled: Values = initial(action, row);
  for (const [field, given] of Object.entries(values)) {
    const found = action.fields?.find((each) => each.key === field);
    if (found === undefined) {
      throw new Error(`${key} has no field ${field}`);
    }
    filled[field] = await typed(found, given, row);
  }
  for (const field of action.fields ?? []) {
    if (field.required === true && field.when?.(filled, who.scope) !== false && (filled[field.key] ?? '') === '') {
      throw new Error(`${key} asks for ${field.key}`);
    }
  }
  const call: Call = action.call(bodyOf(action, filled, row, who.scope), row, who.scope);
  try {
    const reply = await perform(call);
    if (row !== undefined && action.danger !== true) {
      await resource.read?.(resource.id(row), new AbortController().signal, who.scope);
    }
    sent.add(`${kind} ${key}`);
    return reply;
  } catch (error) {
    throw new Error(`${key}: ${JSON.stringify(call)}`, { cause: error });
  }
}

/** The forms that nobody has sent. Those that are more than a table are filled in by the walk. */
export async function unsent(): Promise<string[]> {
  const left: string[] = [];
  for (const kind of kinds) {
    const { create = [], actions = [] } = await resourceOf(kind);
    left.push(...[...create, ...actions].filter((each) => each.call !== undefined).map((each) => `${kind} ${each.key}`).filter((each) => !sent.has(each)));
  }
  return left;
}
