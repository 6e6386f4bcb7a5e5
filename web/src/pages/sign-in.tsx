import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Form, Input, Modal, type InputRef } from 'antd';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../api/client';
import { signIn, type Credentials } from '../api/session';
import { become } from '../shell/become';
import { LanguageSwitch } from '../shell/language';
import { last, remember } from '../shell/memory';
import { useTitle } from '../ui/page';
import { Problem } from '../ui/problem';

export default function SignIn() {
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
        <SignInForm />
        <div style={{ marginTop: 14, textAlign: 'center' }}>
          <LanguageSwitch />
        </div>
      </main>
    </div>
  );
}

/** Over the page that somebody was working on when the session ended. */
export function SignInAgain() {
  const { t } = useTranslation();
  return (
    <Modal open title={t('signIn.title')} closable={false} keyboard={false} mask={{ closable: false }} footer={null} width={420}>
      <Alert type="info" showIcon title={t('signIn.ended')} description={t('signIn.endedHint')} style={{ marginBottom: 16 }} />
      <SignInForm />
    </Modal>
  );
}

function SignInForm() {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const first = useRef<InputRef>(null);
  const password = useRef<InputRef>(null);
  const [known] = useState(last);
  const enter = useMutation({
    mutationFn: (form: Credentials) =>
      signIn({ ...form, ...(known.user === form.user && known.project !== '' && { project: known.project }) }),
    meta: { answers401: true },
    onSuccess: (session) => {
      remember(session);
      return become(queryClient, session);
    },
    onError: () => password.current?.focus({ cursor: 'all' }),
  });
  useEffect(() => (known.user === '' ? first : password).current?.focus(), [known.user]);
  return (
    <Form<Credentials>
      layout="vertical"
      name="sign-in"
      requiredMark={false}
      initialValues={{ user: known.user, domain: known.domain, password: '' }}
      onFinish={(form) => enter.mutate(form)}
    >
      <Form.Item name="user" label={t('signIn.user')} rules={[{ required: true, message: t('signIn.needUser') }]}>
        <Input ref={first} autoComplete="username" autoCapitalize="none" spellCheck={false} />
      </Form.Item>
      <Form.Item name="password" label={t('signIn.password')} rules={[{ required: true, message: t('signIn.needPassword') }]}>
        <Input.Password ref={password} autoComplete="current-password" />
      </Form.Item>
      <Form.Item
        name="domain"
        label={t('signIn.domain')}
        extra={t('signIn.domainHelp')}
        rules={[{ required: true, message: t('signIn.needDomain') }]}
      >
        <Input autoComplete="organization" spellCheck={false} />
      </Form.Item>
      {enter.error && (
        <div style={{ marginBottom: 16 }}>
          {enter.error instanceof ApiError && enter.error.status === 401 ? (
            <Problem error={new ApiError(401, t('signIn.refused'))} hint={t('signIn.refusedHint')} />
          ) : (
            <Problem error={enter.error} />
          )}
        </div>
      )}
      <Button type="primary" htmlType="submit" block size="large" loading={enter.isPending}>
        {t('signIn.submit')}
      </Button>
    </Form>
  );
}
