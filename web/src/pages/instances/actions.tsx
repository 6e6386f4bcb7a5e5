import { useQueryClient } from '@tanstack/react-query';
import { App } from 'antd';
import { useTranslation } from 'react-i18next';
import { act, allServersQuery, serverQuery, serversQuery, type Action, type Server } from '../../api/compute';
import { allowed } from '../../state';
import { problemText } from '../../ui/problem';

const atOnce = 6;

/** Runs an action on servers: asks first where something would be lost, then tells what was refused and why. */
export function useActions(): (action: Action, servers: Server[]) => Promise<void> {
  const { t } = useTranslation();
  const { modal, notification, message } = App.useApp();
  const queryClient = useQueryClient();

  return async (action, servers) => {
    const targets = servers.filter((server) => allowed(server, action));
    if (targets.length === 0) {
      return;
    }
    const first = targets[0]?.name ?? '';
    const count = targets.length;
    if (action !== 'start') {
      const sure = await modal.confirm({
        title: t(`confirm.${action}.${count === 1 ? 'title' : 'titleMany'}`, { count, name: first }),
        content: (
          <>
            <p>{t(`confirm.${action}.${count === 1 ? 'text' : 'textMany'}`)}</p>
            {count > 1 && (
              <ul style={{ maxHeight: 180, overflow: 'auto', paddingLeft: 20 }}>
                {targets.map((server) => (
                  <li key={server.id}>{server.name}</li>
                ))}
              </ul>
            )}
          </>
        ),
        okText: t(`action.${action}`),
        okButtonProps: { danger: action === 'delete', id: 'confirm' },
        cancelText: t('cancel'),
      });
      if (!sure) {
        return;
      }
    }
    const refused: { server: Server; error: Error }[] = [];
    const queue = [...targets];
    const work = async () => {
      for (let server = queue.shift(); server !== undefined; server = queue.shift()) {
        try {
          await act(server.id, action);
        } catch (error) {
          refused.push({ server, error: error as Error });
        }
      }
    };
    await Promise.all(Array.from({ length: atOnce }, work));
    await Promise.all([
      queryClient.invalidateQueries({ queryKey: serversQuery.queryKey, exact: true }),
      queryClient.invalidateQueries({ queryKey: allServersQuery.queryKey }),
      ...(count === 1 && targets[0] ? [queryClient.invalidateQueries({ queryKey: serverQuery(targets[0].id).queryKey })] : []),
      queryClient.invalidateQueries({ queryKey: ['actions'] }),
    ]);
    if (refused.length === 0) {
      message.success(t(`done.${action}${count === 1 ? '' : 'Many'}`, { count, name: first }));
      return;
    }
    notification.error({
      title: t('refused', { count: refused.length, total: count }),
      description: (
        <ul style={{ paddingLeft: 18, margin: 0 }}>
          {refused.slice(0, 5).map(({ server, error }) => (
            <li key={server.id}>
              <strong>{server.name}</strong>: {problemText(t, error)}
            </li>
          ))}
        </ul>
      ),
      duration: 0,
    });
  };
}
