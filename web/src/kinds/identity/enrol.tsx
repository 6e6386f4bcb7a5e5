import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input, Modal, QRCode } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { perform } from '../../api/client';
import { passwordVariable } from '../../command/curl';
import { AsCommand } from '../../resource/as-command';
import { refresh } from '../../resource/query';
import { post } from '../../resource/resource';
import { useHere } from '../../shell/here';
import { fits, newSecret, otpauth } from '../../totp';
import { CopyButton } from '../../ui/copy';
import { Problem } from '../../ui/problem';

/** Gives an authenticator its secret, and keeps that only once the authenticator has shown a passcode of it. */
export function Enrol({ close }: { close: () => void }) {
  const { t } = useTranslation();
  const { scope } = useHere();
  const queryClient = useQueryClient();
  const [secret] = useState(newSecret);
  const call = (blob: string) => post('identity', '/credentials', { credential: { type: 'totp', user_id: scope.user.id, blob } });
  const keep = useMutation({
    mutationFn: () => perform(call(secret)),
    onSuccess: async () => {
      await refresh(queryClient);
      close();
    },
  });
  const uri = otpauth(secret, scope.user.name, location.hostname);
  return (
    <Modal open title={t('factor.add')} onCancel={close} footer={null}>
      <Form<{ code: string }> layout="vertical" name="factor" requiredMark={false} onFinish={() => keep.mutate()}>
        <p style={{ marginTop: 0 }}>{t('factor.scan')}</p>
        <div className="stack" style={{ justifyItems: 'center' }}>
          <span className="unseen">{t('factor.picture')}</span>
          <div aria-hidden="true" style={{ background: '#fff', width: 'fit-content', padding: 8, margin: '0 auto' }}>
            <QRCode value={uri} size={200} color="#000" bgColor="#fff" bordered={false} type="svg" />
          </div>
          <div className="row" style={{ flexWrap: 'wrap' }}>
            <span className="muted">{t('factor.secret')}</span>
            <code className="mono wrap" data-testid="secret">{secret}</code>
            <CopyButton text={secret} />
            <CopyButton text={uri} label="otpauth" />
          </div>
        </div>
        <Form.Item
          name="code"
          label={t('factor.code')}
          extra={t('factor.codeHint')}
          validateTrigger="onSubmit"
          rules={[
            { required: true, message: t('resource.needed') },
            { validator: async (_, typed: string | undefined) => (typed === undefined || typed === '' || (await fits(secret, typed, Date.now())) ? undefined : Promise.reject(new Error(t('factor.wrong')))) },
          ]}
          style={{ marginTop: 16 }}
        >
          <Input inputMode="numeric" autoComplete="one-time-code" style={{ width: 180 }} />
        </Form.Item>
        {keep.error && <Problem error={keep.error} />}
        <AsCommand calls={[call(passwordVariable)]} />
        <div className="row" style={{ justifyContent: 'flex-end', marginTop: 16 }}>
          <Button onClick={close}>{t('cancel')}</Button>
          <Button type="primary" htmlType="submit" id="confirm" loading={keep.isPending}>
            {t('factor.keep')}
          </Button>
        </div>
      </Form>
    </Modal>
  );
}
