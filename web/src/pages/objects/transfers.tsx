import { Progress } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { send } from '../../api/client';
import { download, objectPath } from '../../api/object';
import { useHere } from '../../shell/here';
import { Told } from '../../ui/problem';
import { saveBlob } from '../../ui/save';

interface Transfer {
  id: number;
  name: string;
  up: boolean;
  part: number;
  is: 'busy' | 'ok' | 'bad';
  error?: Error;
}

let count = 0;

/** Uploads and downloads of this page: each with its progress, none in the way of another. */
export function useTransfers(container: string, done: () => Promise<unknown>) {
  const { scope } = useHere();
  const [transfers, set] = useState<Transfer[]>([]);
  const run = async (name: string, up: boolean, work: (part: (part: number) => void) => Promise<void>) => {
    const id = ++count;
    const change = (what: Partial<Transfer>) => set((all) => all.map((each) => (each.id === id ? { ...each, ...what } : each)));
    set((all) => [{ id, name, up, part: 0, is: 'busy' }, ...all.slice(0, 19)]);
    try {
      await work((part) => change({ part }));
      change({ part: 1, is: 'ok' });
    } catch (error) {
      change({ is: 'bad', error: error as Error });
    }
    await done();
  };
  const path = (name: string) => objectPath(scope.project.id, container, name);
  return {
    transfers,
    upload: (name: string, file: File) =>
      run(name, true, (part) => send('object', path(name), file, part, new AbortController().signal, file.type || 'application/octet-stream')),
    fetchObject: (name: string) =>
      run(name, false, async (part) => saveBlob(name.split('/').at(-1) ?? name, await download(path(name), part, new AbortController().signal))),
  };
}

export function Transfers({ transfers }: { transfers: Transfer[] }) {
  const { t } = useTranslation();
  return (
    <ul className="results" aria-live="polite" style={{ marginTop: 16 }}>
      {transfers.map((each) => (
        <li key={each.id} data-status={each.is}>
          <span className="wrap">{t(each.up ? 'object.uploading' : 'object.downloading', { name: each.name })}</span>
          <Progress
            percent={Math.floor(each.part * 100)}
            status={each.is === 'bad' ? 'exception' : each.is === 'ok' ? 'success' : 'active'}
            aria-label={t(each.up ? 'object.uploading' : 'object.downloading', { name: each.name })}
          />
          {each.error && (
            <div className="reason tone-bad">
              <Told error={each.error} />
            </div>
          )}
        </li>
      ))}
    </ul>
  );
}
