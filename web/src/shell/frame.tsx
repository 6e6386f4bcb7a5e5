import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { App, Button, Dropdown } from 'antd';
import { useEffect, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { changeProject, projectsQuery, signOut, type Session } from '../api/session';
import { Told } from '../ui/problem';
import { become, channel, heard } from './become';
import { LanguageSwitch } from './language';
import { Navigation } from './navigation';
import { PaletteButton } from './palette-button';
import { DownOutlined, FolderOutlined, LogoutOutlined, UserOutlined } from '../ui/icons';

/** The frame around all pages: where one can go, who one is, which project it is about. */
export function Frame({ session, children }: { session: Session; children: ReactNode }) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  useEffect(() => {
    channel.onmessage = () => void heard(queryClient);
    return () => {
      channel.onmessage = null;
    };
  }, [queryClient]);
  return (
    <div className="frame">
      <a className="skip" href="#main">
        {t('skip')}
      </a>
      <Link to="/" className="brand" activeProps={{}}>
        <img src="/dashboard/icon.svg" alt="" />
        {t('brand')}
      </Link>
      <header className="bar">
        <ProjectSwitch session={session} />
        <span className="grow" />
        <PaletteButton enabled={session.project !== null} />
        <LanguageSwitch />
        <UserMenu session={session} />
      </header>
      <Navigation roles={session.roles} />
      <main className="main" id="main" tabIndex={-1}>
        <div className="page">{children}</div>
      </main>
    </div>
  );
}

function ProjectSwitch({ session }: { session: Session }) {
  const { t } = useTranslation();
  const { notification } = App.useApp();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const projects = useQuery(projectsQuery);
  const change = useMutation({
    mutationFn: changeProject,
    meta: { answers401: true },
    onSuccess: async (changed) => {
      await become(queryClient, changed);
      channel.postMessage('changed');
      await navigate({ to: '/' });
    },
    onError: (error) => notification.error({ title: t('project.failed'), description: <Told error={error} /> }),
  });
  const current = session.project;
  return (
    <Dropdown
      autoFocus
      trigger={['click']}
      menu={{
        selectedKeys: current ? [current.id] : [],
        items: (projects.data ?? []).map((p) => ({ key: p.id, label: p.name })),
        onClick: ({ key }) => {
          if (key !== current?.id) {
            change.mutate(key);
          }
        },
      }}
    >
      <Button type="text" icon={<FolderOutlined />} loading={change.isPending} aria-label={t('project.label', { name: current?.name ?? '–' })} data-testid="project">
        <strong>{current?.name ?? t('project.none')}</strong>
        <DownOutlined style={{ fontSize: 10 }} />
      </Button>
    </Dropdown>
  );
}

function UserMenu({ session }: { session: Session }) {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const queryClient = useQueryClient();
  const leave = useMutation({
    mutationFn: signOut,
    onSettled: async () => {
      await become(queryClient, null);
      channel.postMessage('changed');
    },
  });
  return (
    <Dropdown
      autoFocus
      trigger={['click']}
      menu={{
        items: [
          {
            key: 'who',
            disabled: true,
            label: t('user.roles', { domain: session.user.domain?.name ?? '', roles: session.roles.join(', ') }),
          },
          { type: 'divider' },
          { key: 'account', label: t('nav.account') },
          { key: 'out', icon: <LogoutOutlined />, label: t('user.signOut') },
        ],
        onClick: ({ key }) => {
          if (key === 'out') {
            leave.mutate();
          } else if (key === 'account') {
            void navigate({ to: '/account' });
          }
        },
      }}
    >
      <Button type="text" icon={<UserOutlined />} aria-label={t('user.label', { name: session.user.name })} data-testid="user">
        {session.user.name}
      </Button>
    </Dropdown>
  );
}
