import { useQuery } from '@tanstack/react-query';
import type { TFunction } from 'i18next';
import { useTranslation } from 'react-i18next';
import { planQuery } from '../api/plans';
import { Mark } from '../ui/status';
import { Lasting } from '../ui/time';
import type { Resource, State } from './resource';
import type { Tone } from '../state';

/** A state of the API in the user's language; one we don't know stays as it is. */
export function stateWord(t: TFunction, raw: string): string {
  const words = t('stateOf', { returnObjects: true }) as unknown as Record<string, string>;
  return words[raw.toLowerCase()] ?? raw;
}

/** A row's state, and why it waits or what went wrong. */
export function StateOf<R>({ resource, row, pill }: { resource: Resource<R>; row: R; pill?: boolean }) {
  const { t } = useTranslation();
  const state = resource.state?.(row);
  const waits = resource.moves?.(row) === true;
  const { data: plan } = useQuery({ ...planQuery(resource.work?.(row) ?? resource.id(row)), enabled: waits });
  if (state === undefined) {
    return null;
  }
  return (
    <>
      <Mark tone={state.tone} raw={state.raw} {...(pill !== undefined && { pill })}>
        {stateWord(t, state.raw)}
      </Mark>
      {state.why != null && state.why !== '' && <div className="reason tone-bad">{state.why}</div>}
      {waits && plan != null && plan.reason !== '' && (
        <div className="reason">
          {plan.reason} · <Lasting since={plan.since} />
        </div>
      )}
    </>
  );
}

const tones: Record<string, Tone> = {
  active: 'ok', 'in-use': 'ok', up: 'ok', enabled: 'ok', available: 'off', down: 'off', queued: 'off', error: 'bad',
  deactivated: 'warn', disabled: 'warn', maintenance: 'warn', 'awaiting-transfer': 'warn', build: 'busy',
};

/** The tone of a state by its word; what ends in -ing is on its way. */
export function stateBy(raw: string): State {
  const word = raw.toLowerCase();
  return { raw, tone: tones[word] ?? (word.startsWith('error') ? 'bad' : word.endsWith('ing') ? 'busy' : 'warn') };
}

export const passes = (raw: string) => stateBy(raw).tone === 'busy';
