// Choices that dialogs of several kinds offer.
import { all, type Service } from '../api/client';
import { label, type Choice } from '../resource/resource';

interface Item {
  id: string;
  name?: string | null;
}

/** The rows of a collection by their names. */
export const choicesOf = (service: Service, path: string, collection: string) => async (): Promise<Choice[]> =>
  (await all<Item>(service, path, collection, new AbortController().signal)).map((row) => ({ value: row.id, label: label(row) }));

export const projectChoices = choicesOf('identity', '/projects', 'projects');

export const qosChoices = choicesOf('network', '/qos/policies', 'policies');

/** Words that are the same in every language. */
export const literal = (...values: string[]): Choice[] => values.map((value) => ({ value, label: value }));

export const keysOf = (pairs: Record<string, string> | undefined): Choice[] => literal(...Object.keys(pairs ?? {}));
