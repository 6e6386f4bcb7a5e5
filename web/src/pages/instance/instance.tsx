import { useQuery } from '@tanstack/react-query';
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router';
import { Button, Dropdown, Spin, Tabs } from 'antd';
import { lazy, Suspense, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../api/client';
import { hasSpiceQuery, serverQuery, type Server } from '../../api/compute';
import { menuOf, serverActions, startByKey } from '../../kinds/compute/server-actions';
import servers from '../../kinds/compute/servers';
import { useActs } from '../../resource/acts';
import { may, type Resource } from '../../resource/resource';
import { useHere } from '../../shell/here';
import { Empty } from '../../ui/empty';
import { PageHead } from '../../ui/page';
import { Problem } from '../../ui/problem';
import { Mark, Reason, ServerStatus } from '../../ui/status';
import { FloatingIPDialog } from '../instances/floating-ip';
import { History } from './history';
import { Inside } from './inside';
import { Log } from './log';
import { Overview } from './overview';
import type { Tab } from './tabs';
import { DesktopOutlined, EllipsisOutlined } from '../../ui/icons';

// noVNC, spice-html5 and xterm are loaded by those who open a console.
const Console = lazy(() => import('./console'));
const Spice = lazy(() => import('./spice'));
const Serial = lazy(() => import('./serial'));
const kind = servers as unknown as Resource<Server>;
// Whoever may only read sees nothing of what the guest shows or writes.
const forMembers = ['console', 'spice', 'serial', 'log'];
const route = getRouteApi('/signed-in/instances/$id/$tab');

export default function Instance() {
  const { t } = useTranslation();
  const { id, tab } = route.useParams();
  const navigate = useNavigate();
  const { roles } = useHere();
  const changes = may(roles, 'member');
  const { data: server, error, refetch } = useQuery(serverQuery(id));
  const { data: spice } = useQuery(hasSpiceQuery(server));
  if (error instanceof ApiError && error.status === 404) {
    return (
      <Empty icon={<DesktopOutlined />} title={t('instance.gone')} text={t('instance.goneText')}>
        <Link to="/instances">{t('instance.back')}</Link>
      </Empty>
    );
  }
  if (server === undefined) {
    return error ? <Problem error={error} retry={() => void refetch()} /> : <Spin />;
  }
  return (
    <>
      <Link to="/instances" className="small">
        ← {t('nav.instances')}
      </Link>
      <PageHead title={server.name} beside={
          <>
            <ServerStatus server={server} pill />
            {server.locked === true && (
              <Mark tone="warn" pill>
                {t('instance.locked')}
              </Mark>
            )}
          </>
        }>
        {changes && <Buttons server={server} />}
      </PageHead>
      <div style={{ marginTop: -12, marginBottom: 12 }}>
        <Reason server={server} />
      </div>
      <Tabs
        activeKey={tab}
        onChange={(key) => void navigate({ to: '/instances/$id/$tab', params: { id, tab: key as Tab } })}
        destroyOnHidden
        items={[
          { key: 'overview', label: t('tab.overview'), children: <Overview server={server} /> },
          {
            key: 'console',
            label: t('tab.console'),
            children: (
              <Suspense fallback={<Spin />}>
                <Console server={server} />
              </Suspense>
            ),
          },
          {
            key: 'spice',
            label: t('tab.spice'),
            children: (
              <Suspense fallback={<Spin />}>
                <Spice server={server} />
              </Suspense>
            ),
          },
          {
            key: 'serial',
            label: t('tab.serial'),
            children: (
              <Suspense fallback={<Spin />}>
                <Serial server={server} />
              </Suspense>
            ),
          },
          { key: 'log', label: t('tab.log'), children: <Log server={server} /> },
          { key: 'inside', label: t('tab.inside'), children: <Inside server={server} /> },
          { key: 'history', label: t('tab.history'), children: <History server={server} /> },
        ]
          .filter(({ key }) => changes || !forMembers.includes(key))
          .filter(({ key }) => key !== 'spice' || spice === true)}
      />
    </>
  );
}

function Buttons({ server }: { server: Server }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  const { start, dialog } = useActs(kind);
  const [floating, setFloating] = useState(false);
  const beside = server.status === 'SHUTOFF' ? ['server-start', 'server-reboot'] : ['server-stop', 'server-reboot'];
  return (
    <>
      {serverActions
        .filter(({ key }) => beside.includes(key))
        .map((action) => (
          <Button key={action.key} disabled={action.able?.(server, scope) === false} onClick={() => start(action, [server])}>
            {t(action.word)}
          </Button>
        ))}
      <Button onClick={() => setFloating(true)}>{t('floating.short')}</Button>
      <Dropdown
        autoFocus
        trigger={['click']}
        menu={{
          items: menuOf(server, scope, t, beside),
          onClick: ({ key, domEvent }) => {
            domEvent.preventDefault(); // or Enter would press what the dialog focuses
            startByKey(start, key, server);
          },
        }}
      >
        <Button icon={<EllipsisOutlined />} aria-label={t('instances.menu', { name: server.name })} />
      </Dropdown>
      {dialog}
      {floating && <FloatingIPDialog server={server} close={() => setFloating(false)} />}
    </>
  );
}
