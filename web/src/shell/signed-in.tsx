import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Outlet } from '@tanstack/react-router';
import { lazy, Suspense, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { sessionQuery } from '../api/session';
import { Empty, Waiting } from '../ui/empty';
import { Problem } from '../ui/problem';
import { endedSession } from './become';
import { Frame } from './frame';
import { Here } from './here';
import { remember } from './memory';
import { CloudOutlined } from '../ui/icons';

const ToSignIn = lazy(() => import('../pages/sign-in'));
const SignInAgain = lazy(() => import('../pages/sign-in').then((module) => ({ default: module.SignInAgain })));

/** Everything that needs a session. Without one the browser is led to the sign-in, and back. */
export function SignedIn() {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const session = useQuery(sessionQuery);
  useEffect(() => {
    if (session.data != null) {
      remember(session.data);
    }
  }, [session.data]);
  if (session.data === undefined) {
    return session.error ? (
      <div className="main">
        <Problem error={session.error} retry={() => void session.refetch()} />
      </div>
    ) : (
      <Waiting />
    );
  }
  // When a session ends by itself, the page stays below the sign-in.
  const shown = session.data ?? endedSession(queryClient);
  if (shown === null) {
    return (
      <Suspense fallback={<Waiting />}>
        <ToSignIn />
      </Suspense>
    );
  }
  const { user, project, roles } = shown;
  return (
    <Frame session={shown}>
      {session.data === null && (
        <Suspense>
          <SignInAgain />
        </Suspense>
      )}
      {project === null ? (
        <Empty icon={<CloudOutlined />} title={t('noProject.title')} text={t('noProject.text', { user: user.name })} />
      ) : (
        // The key forgets everything on the page when the project changes.
        <Here key={project.id} value={{ user, project, roles }}>
          <Suspense fallback={<Waiting />}>
            <Outlet />
          </Suspense>
        </Here>
      )}
    </Frame>
  );
}
