import { Alert, Button, Modal } from 'antd';
import { useEffect, type ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { channel } from '../shell/become';
import { LanguageSwitch } from '../shell/language';
import { last } from '../shell/memory';
import { Waiting } from '../ui/empty';
import { useTitle } from '../ui/page';

/** Where a sign-in begins that ends at a place of these pages. */
function start(language: string, to: string): string {
  const known = last();
  const query = new URLSearchParams({ to, ui_locales: language });
  for (const [key, value] of Object.entries({ login_hint: known.user, domain_hint: known.domain, project: known.project })) {
    if (value !== '') {
      query.set(key, value);
    }
  }
  return `/dashboard/session/start?${query.toString()}`;
}

/** Leads to the sign-in and back to where the browser is now. */
export default function ToSignIn() {
  const { i18n } = useTranslation();
  useEffect(() => location.replace(start(i18n.language, location.pathname + location.search)), [i18n.language]);
  return <Waiting />;
}

function Card({ children }: { children: ReactNode }) {
  const { t } = useTranslation();
  useTitle(t('signIn.title'));
  return (
    <div className="sign-in">
      <main className="panel card">
        <div className="mark">
          <img src="/dashboard/icon.svg" alt="" />
          <div>
            <h1>{t('signIn.title')}</h1>
            <div className="muted">{t('signIn.subtitle')}</div>
          </div>
        </div>
        {children}
        <div style={{ marginTop: 14, textAlign: 'center' }}>
          <LanguageSwitch />
        </div>
      </main>
    </div>
  );
}

/** Why a sign-in has not worked, where its own page could not say it. */
export function NotSignedIn() {
  const { t, i18n } = useTranslation();
  const problem = new URLSearchParams(location.search).get('problem');
  const known = problem === 'late' || problem === 'refused' ? problem : 'failed';
  return (
    <Card>
      <Alert type="error" showIcon title={t(`signIn.problem.${known}`)} style={{ marginBottom: 16 }} />
      <Button type="primary" block size="large" href={start(i18n.language, '/dashboard/')}>
        {t('signIn.submit')}
      </Button>
    </Card>
  );
}

/** The end of a sign-in in a window of its own: the page that waits for it is told. */
export function SignedInElsewhere() {
  const { t } = useTranslation();
  useEffect(() => {
    channel.postMessage('changed');
    window.close();
  }, []);
  return (
    <Card>
      <p>{t('signIn.done')}</p>
    </Card>
  );
}

/** Over the page that somebody was working on when the session ended. What is on it stays: the sign-in has a window of its own. */
export function SignInAgain() {
  const { t, i18n } = useTranslation();
  const open = () => window.open(start(i18n.language, '/dashboard/sign-in-done'), '_blank', 'popup,width=520,height=720');
  return (
    <Modal open title={t('signIn.title')} closable={false} keyboard={false} mask={{ closable: false }} footer={null} width={420}>
      <Alert type="info" showIcon title={t('signIn.ended')} description={t('signIn.endedHint')} style={{ marginBottom: 16 }} />
      <Button type="primary" block size="large" autoFocus onClick={open}>
        {t('signIn.submit')}
      </Button>
    </Modal>
  );
}
