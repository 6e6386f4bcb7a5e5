import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Form, Input, Modal, Radio } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { newKeyPair, type KeyType } from '../../api/compute';
import { perform } from '../../api/client';
import { generateCertificate } from '../../certificate';
import { AsCommand } from '../../resource/as-command';
import { refresh } from '../../resource/query';
import { useHere } from '../../shell/here';
import { generate } from '../../sshkey';
import { CopyButton } from '../../ui/copy';
import { save } from '../../ui/save';
import { Problem } from '../../ui/problem';

interface Props {
  mode: 'create' | 'import';
  close: (name?: string) => void;
}

interface Fields {
  name: string;
  type: KeyType;
  publicKey?: string;
}

const asked = {
  ssh: { label: 'key.publicKey', needed: 'key.needPublicKey', bad: 'key.badPublicKey', is: /^\s*(ssh-|ecdsa-|sk-)\S+ \S+/, like: 'ssh-ed25519 AAAA… me@laptop' },
  x509: { label: 'key.certificate', needed: 'key.needCertificate', bad: 'key.badCertificate', is: /^\s*-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\s*$/, like: '-----BEGIN CERTIFICATE-----' },
} as const;

/** Makes a key pair here or takes over a public key or a certificate. A private key is shown once and kept nowhere. */
export function KeyPairDialog({ mode, close }: Props) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const { user } = useHere();
  const [form] = Form.useForm<Fields>();
  const typed = Form.useWatch([], form) as Partial<Fields> | undefined;
  const [secret, setSecret] = useState<Pick<Fields, 'name' | 'type'> & { text: string } | null>(null);
  const add = useMutation({
    mutationFn: async ({ name, type, publicKey }: Fields) => {
      if (mode === 'import') {
        await perform(newKeyPair(name, type, (publicKey ?? '').trim()));
        return null;
      }
      const made = await (type === 'x509' ? generateCertificate(user.id) : generate(name));
      await perform(newKeyPair(name, type, made.publicKey));
      // Whoever signs in by a certificate shows it, too.
      return type === 'x509' ? made.privateKey + made.publicKey : made.privateKey;
    },
    onSuccess: async (text, { name, type }) => {
      await refresh(queryClient);
      if (text === null) {
        close(name);
      } else {
        setSecret({ name, type, text });
      }
    },
  });
  // The pair is made here, as the command line makes it too: the cloud gets its public half.
  const type = typed?.type ?? 'ssh';
  const key = asked[type];
  const calls = [newKeyPair(typed?.name ?? '', type, typed?.publicKey?.trim() ?? '')];
  const file = `${secret?.name ?? ''}.pem`;
  if (secret !== null) {
    return (
      <Modal
        open
        title={t('key.secretTitle', { name: secret.name })}
        closable={false}
        mask={{ closable: false }}
        keyboard={false}
        footer={
          <Button type="primary" onClick={() => close(secret.name)}>
            {t('key.kept')}
          </Button>
        }
      >
        <div className="stack">
          <Alert type="warning" showIcon title={t('key.once')} description={t('key.onceHelp')} />
          <pre className="secret" tabIndex={0} aria-label={t('key.secretTitle', { name: secret.name })}>
            {secret.text}
          </pre>
          <div className="row">
            <Button onClick={() => save(file, secret.text, 'application/x-pem-file')}>{t('key.download')}</Button>
            <CopyButton text={secret.text} label={t('key.copy')} />
          </div>
          <div className="small muted">
            {secret.type === 'x509' ? (
              t('key.useX509')
            ) : (
              <>
                {t('key.use')} <code className="mono">{`chmod 600 ${file} && ssh -i ${file} …`}</code>
              </>
            )}
          </div>
        </div>
      </Modal>
    );
  }
  return (
    <Modal open title={t(mode === 'create' ? 'key.create' : 'key.import')} onCancel={() => close()} footer={null} destroyOnHidden>
      <Form form={form} layout="vertical" requiredMark={false} initialValues={{ type: 'ssh' }} onFinish={(form: Fields) => add.mutate(form)}>
        <p className="muted" style={{ marginTop: 0 }}>
          {t(mode === 'create' ? 'key.createHelp' : type === 'x509' ? 'key.importX509Help' : 'key.importHelp')}
        </p>
        <Form.Item
          name="name"
          label={t('field.name')}
          rules={[
            { required: true, message: t('key.needName') },
            { max: 255, message: t('tooLong', { max: 255 }) },
            { pattern: /^[\w@. -]*$/, message: t('key.badName') },
          ]}
        >
          <Input autoFocus maxLength={255} />
        </Form.Item>
        <Form.Item name="type" label={t('field.type')} {...(type === 'x509' && { extra: t('key.x509Help') })}>
          <Radio.Group
            options={[
              { value: 'ssh', label: t('key.ssh') },
              { value: 'x509', label: t('key.x509') },
            ]}
          />
        </Form.Item>
        {mode === 'import' && (
          <Form.Item
            name="publicKey"
            label={t(key.label)}
            dependencies={['type']}
            rules={[
              { required: true, message: t(key.needed) },
              { pattern: key.is, message: t(key.bad) },
            ]}
          >
            <Input.TextArea rows={5} className="mono" placeholder={key.like} spellCheck={false} />
          </Form.Item>
        )}
        {add.error && (
          <div style={{ marginBottom: 16 }}>
            <Problem error={add.error} {...(add.error.name === 'NotSupportedError' && { hint: t('key.unsupported') })} />
          </div>
        )}
        <AsCommand calls={calls} />
        <div className="row" style={{ justifyContent: 'flex-end' }}>
          <Button onClick={() => close()}>{t('cancel')}</Button>
          <Button type="primary" htmlType="submit" loading={add.isPending}>
            {t(mode === 'create' ? 'key.create' : 'key.import')}
          </Button>
        </div>
      </Form>
    </Modal>
  );
}
