// From what was typed to what is sent.
import { passwordVariable } from '../command/curl';
import type { Action, Body, Field, Scope, Value, Values } from './resource';

const lines = (value: Value) =>
  String(value ?? '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** `a=1` a line, as people write properties. */
export function pairsOf(text: Value): Record<string, string> {
  return Object.fromEntries(
    lines(text).map((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [line, ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    }),
  );
}

/** The other way: pairs as the text that somebody would have typed. */
export const pairsText = (pairs: Record<string, unknown>) =>
  Object.entries(pairs)
    .map(([key, text]) => `${key}=${String(text)}`)
    .join('\n');

/** How a value of a row stands in a field. */
function shown(value: unknown, kind: Field<never>['kind']): Value {
  if (kind === 'lines' && Array.isArray(value)) {
    return value.join('\n');
  }
  if (kind === 'pairs' && typeof value === 'object' && value !== null) {
    return pairsText(value as Record<string, unknown>);
  }
  return value as Value;
}

/** What a dialog begins with. */
export function initial<R>(action: Action<R>, row: R | undefined, preset: Values = {}): Values {
  const values: Values = {};
  for (const field of action.fields ?? []) {
    if (typeof field.initial === 'function') {
      values[field.key] = row === undefined ? undefined : field.initial(row);
    } else if (field.initial !== undefined) {
      values[field.key] = field.initial;
    } else if (action.edits === true && row !== undefined) {
      values[field.key] = shown((row as Record<string, unknown>)[field.key], field.kind);
    }
  }
  return { ...values, ...preset };
}

/** The same, without what nobody must read: a variable stands for it. */
export const veiled = <R>(action: Action<R>, values: Values): Values => ({
  ...values,
  ...Object.fromEntries((action.fields ?? []).filter((field) => field.kind === 'secret').map((field) => [field.key, passwordVariable])),
});

function cooked<R>(field: Field<R>, value: Value): unknown {
  if (field.as !== undefined) {
    return field.as(value);
  }
  switch (field.kind) {
    case 'lines':
      return lines(value);
    case 'pairs':
      return pairsOf(value);
    case 'text':
    case 'area':
      return typeof value === 'string' ? value.trim() : value;
    default:
      return value;
  }
}

const nothing = (value: unknown) => value == null || value === '' || (Array.isArray(value) && value.length === 0);

/** The request's fields: what was filled in, or, in an edit, what was changed. */
export function bodyOf<R>(action: Action<R>, values: Values, row: R | undefined, scope: Scope, preset: Values = {}): Body {
  const before = initial(action, row, preset);
  const body: Body = {};
  for (const field of action.fields ?? []) {
    const value = values[field.key] ?? preset[field.key];
    if (field.when !== undefined && !field.when({ ...values, ...preset }, scope)) {
      continue;
    }
    const sent = cooked(field, value);
    if (action.edits === true) {
      // A form has undefined where a row has null.
      if (JSON.stringify(sent ?? null) !== JSON.stringify(cooked(field, before[field.key]) ?? null)) {
        body[field.key] = sent ?? null;
      }
    } else if (!nothing(sent)) {
      body[field.key] = sent;
    }
  }
  return body;
}
