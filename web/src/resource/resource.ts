// What a page needs to know about one kind of resource. Lists, pages, dialogs,
// bulk actions and the palette are drawn from it: a new kind is a table.
import type { ParseKeys, TFunction } from 'i18next';
import type { ComponentType, ReactNode } from 'react';
import type { Call, Method, Service } from '../api/client';
import type { Named } from '../api/session';
import type { Kind } from '../kinds';
import type { Tone } from '../state';

/** A key of the catalogues. */
export type Word = ParseKeys;

/** To whom something is offered: who may look, who may change, who runs a project, who runs the cloud. */
export type Role = 'reader' | 'member' | 'manager' | 'admin';

const ranks: readonly string[] = ['reader', 'member', 'manager', 'admin'];

/** Whether roles are enough. What one of another name is worth only the cloud knows, so it is offered what a member is. */
export const may = (roles: readonly string[], role: Role) =>
  roles.some((name) => (ranks.includes(name) ? ranks.indexOf(name) : ranks.indexOf('member')) >= ranks.indexOf(role));

/** On whose behalf a page asks. */
export interface Scope {
  project: Named;
  operator: boolean;
  /** Whose pages these are. */
  user: Named;
  /** The user's roles in the project. */
  roles: string[];
  /** Whether an operator looks at all projects. */
  all: boolean;
}

export interface Column<R> {
  word: Word;
  show: (row: R, say: Say) => ReactNode;
  sort?: (row: R) => string | number;
  /** Narrower screens do without it. */
  from?: 'md' | 'lg' | 'xl';
  right?: boolean;
}

export interface Say {
  t: TFunction;
  language: string;
}

export interface State {
  raw: string;
  tone: Tone;
  /** What went wrong, where the row itself knows. */
  why?: string | null | undefined;
}

export type Value = string | number | boolean | string[] | null | undefined;
export type Values = Record<string, Value>;
export type Body = Record<string, unknown>;

export interface Choice {
  value: string;
  label: string;
}

/** One thing that a dialog asks for. Its key is the name in the request. */
export interface Field<R> {
  key: string;
  label: Word;
  kind: 'text' | 'secret' | 'area' | 'number' | 'switch' | 'choice' | 'choices' | 'lines' | 'pairs';
  hint?: Word;
  required?: boolean;
  min?: number;
  max?: number;
  unit?: string;
  pattern?: { is: RegExp; else: Word };
  /** What it begins with; without it an edit begins with the row's own value. */
  initial?: Value | ((row: R) => Value);
  options?: Choice[] | ((scope: Scope, row: R) => Promise<Choice[]>);
  /** Words of the options, where they are not names. */
  words?: Record<string, Word>;
  /** How the value stands in the request. */
  as?: (value: Value) => unknown;
  when?: (values: Values, scope: Scope) => boolean;
}

/** Something that can be done with rows, or, for creation, with none. */
export interface Action<R> {
  key: string;
  word: Word;
  danger?: boolean;
  /** To whom it is offered; members, unless said otherwise. */
  by?: Role;
  /** For many rows at once, with a result for each. */
  bulk?: boolean;
  able?: (row: R, scope: Scope) => boolean;
  /** What will happen; with it, or with fields, the action asks first. */
  ask?: Word;
  fields?: Field<R>[];
  /** Only what differs from the row goes into the request. */
  edits?: boolean;
  call?: (body: Body, row: R, scope: Scope) => Call;
  /** How to take it back, once it is done; null where that cannot be. */
  undo?: (row: R) => Promise<Call | null>;
  /** What the answer tells once and never again. */
  secret?: (reply: unknown) => Secret[];
  /** What to know about it, where it is not that it is never shown again. */
  secretHelp?: Word;
  /** Where a table of fields is not enough. */
  Dialog?: ComponentType<{ rows: R[]; close: () => void }>;
}

/** What is shown once; under a file's name it can be saved. */
export interface Secret {
  word: Word;
  text: string;
  file?: string;
}

export interface Resource<R> {
  kind: Kind;
  icon: ReactNode;
  list: (scope: Scope, signal: AbortSignal) => Promise<R[]>;
  read?: (id: string, signal: AbortSignal, scope: Scope) => Promise<R>;
  id: (row: R) => string;
  name: (row: R) => string;
  /** What it is found by, besides name and id. */
  terms?: (row: R) => (string | null | undefined)[];
  project?: (row: R) => string | undefined;
  state?: (row: R) => State;
  /** Whether it is on its way to another state. */
  moves?: (row: R) => boolean;
  /** What is worked on meanwhile, where it is not the row itself. */
  work?: (row: R) => string;
  columns: Column<R>[];
  create?: Action<R>[];
  actions?: Action<R>[];
  facts?: Column<R>[];
  /** What belongs to it, below its facts. */
  Below?: ComponentType<{ row: R }>;
  /** A place of its own instead of the page of facts. */
  place?: (row: R) => string;
}

/** A resource whose rows nobody looks into. */
export type AnyResource = Resource<unknown>;

/** Forgets the type of the rows: a list hands to a resource only what came from it. */
export const define = <R>(resource: Resource<R>) => resource as unknown as AnyResource;

const call =
  (method: Method) =>
  (service: Service, path: string, body?: unknown): Call => ({ service, method, path, ...(body !== undefined && { body }) });

export const post = call('POST');
export const put = call('PUT');
export const del = call('DELETE');

/** What is offered to somebody. */
export const offered = <R>(actions: Action<R>[] | undefined, scope: Scope) => (actions ?? []).filter((action) => may(scope.roles, action.by ?? 'member'));

export const patch = call('PATCH');

/** The same action, for operators alone. */
export const restricted = <R>(action: Action<R>): Action<R> => ({ ...action, by: 'admin' });

/** The action that most kinds have. */
export const removal = <R>(ask: Word, path: (row: R) => [Service, string], able?: (row: R, scope: Scope) => boolean): Action<R> => ({
  key: 'delete',
  word: 'resource.delete',
  danger: true,
  bulk: true,
  ask,
  ...(able && { able }),
  call: (_, row) => del(...path(row)),
});

export const nameField = <R>(required = true): Field<R> => ({ key: 'name', label: 'field.name', kind: 'text', required, max: 255 });
export const descriptionField = <R>(): Field<R> => ({ key: 'description', label: 'field.description', kind: 'text', max: 255 });

/** What people call a thing: its name, or the start of its id where it has none. */
export const label = (row: { id: string; name?: string | null }) => (row.name == null || row.name === '' ? row.id.slice(0, 8) : row.name);
