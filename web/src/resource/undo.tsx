import { useQueryClient } from '@tanstack/react-query';
import { App, Button } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { perform, type Call } from '../api/client';
import { Told } from '../ui/problem';
import { refresh } from './query';

const key = 'undo'; // what was done last

/** Offers to take back what was done, once it is known whether and how. */
export function useUndo(): (title: string, ways: Promise<Call | null>[]) => Promise<void> {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  return async (title, ways) => {
    const calls = (await Promise.all(ways)).filter((call) => call !== null);
    if (calls.length > 0) {
      notification.info({
        key,
        title,
        description: t('resource.undoText'),
        placement: 'bottomRight',
        duration: 0,
        actions: <Undo calls={calls} done={() => notification.destroy(key)} />,
      });
    }
  };
}

function Undo({ calls, done }: { calls: Call[]; done: () => void }) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<Error[]>([]);
  const undo = async () => {
    setBusy(true);
    const results = await Promise.allSettled(calls.map(perform));
    const errors = results.filter((result) => result.status === 'rejected').map(({ reason }) => reason as Error);
    await refresh(queryClient);
    setBusy(false);
    setRefused(errors);
    if (errors.length === 0) {
      done();
    }
  };
  return (
    <>
      {refused.map((error, i) => (
        <div key={i} className="reason tone-bad">
          <Told error={error} />
        </div>
      ))}
      <Button type="primary" size="small" loading={busy} onClick={() => void undo()}>
        {t('resource.undo')}
      </Button>
    </>
  );
}
