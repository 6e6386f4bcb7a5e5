import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useState, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { perform } from '../api/client';
import { useHere } from '../shell/here';
import { Told } from '../ui/problem';
import { ActionDialog } from './dialog';
import { refresh } from './query';
import type { Action, Resource, Values } from './resource';

export type Start<R> = (action: Action<R>, rows: R[]) => void;

/** How actions are started, and the dialog of the one that asks. */
export function useActs<R>(resource: Resource<R>, preset?: Values): { start: Start<R>; dialog: ReactNode } {
  const { t } = useTranslation();
  const { message, notification } = App.useApp();
  const { scope } = useHere();
  const queryClient = useQueryClient();
  const [asking, setAsking] = useState<{ action: Action<R>; rows: R[] } | null>(null);

  const atOnce = async (action: Action<R>, row: R) => {
    const call = action.call?.({}, row, scope);
    if (call === undefined) {
      return;
    }
    const title = t('resource.about', { action: t(action.word), what: resource.name(row) });
    try {
      await perform(call);
      message.success(title);
    } catch (error) {
      notification.error({ title, description: <Told error={error as Error} />, duration: 0 });
    }
    await refresh(queryClient);
  };
  const start: Start<R> = (action, rows) => {
    const [row, ...more] = rows;
    const asks = action.Dialog !== undefined || action.ask !== undefined || action.fields !== undefined;
    if (asks || row === undefined || more.length > 0) {
      setAsking({ action, rows });
    } else {
      void atOnce(action, row);
    }
  };
  if (asking === null) {
    return { start, dialog: null };
  }
  const close = () => setAsking(null);
  const { action, rows } = asking;
  const { Dialog } = action;
  return {
    start,
    dialog: Dialog ? (
      <Dialog rows={rows} close={close} />
    ) : (
      <ActionDialog resource={resource} action={action} rows={rows} {...(preset && { preset })} close={close} />
    ),
  };
}
