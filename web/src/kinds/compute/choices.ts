// What dialogs about servers offer: zones, and the hosts below them.
import { all } from '../../api/client';
import { zones } from '../../api/compute';
import type { Choice } from '../../resource/resource';
import { literal } from '../choices';

export const zoneChoices = async (): Promise<Choice[]> =>
  literal(...(await zones(new AbortController().signal)).filter((zone) => zone.zoneState.available).map((zone) => zone.zoneName));

export interface ComputeHost {
  host: string;
  state: string;
  status: string;
}

/** The hosts that run servers. For operators. */
export const computeHosts = (signal: AbortSignal) => all<ComputeHost>('compute', '/os-services?binary=nova-compute', 'services', signal);

/** Those that take servers, without one. */
export const hostChoices = async (except?: string | null): Promise<Choice[]> =>
  literal(...(await computeHosts(new AbortController().signal)).filter(({ host, state, status }) => host !== except && state === 'up' && status === 'enabled').map(({ host }) => host));
