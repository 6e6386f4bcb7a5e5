import { all } from '../../api/client';
import type { Volume } from '../../api/volume';
import { label } from '../../resource/resource';

/** The volumes in some states, to do something with one. */
export const volumeChoices =
  (...states: string[]) =>
  async () =>
    (await all<Volume>('volume', '/volumes/detail', 'volumes', new AbortController().signal))
      .filter((volume) => states.includes(volume.status))
      .map((volume) => ({ value: volume.id, label: `${label(volume)} · ${volume.size} GiB` }));
