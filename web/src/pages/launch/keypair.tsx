import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Alert, Button, Form, Input, Modal } from 'antd';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { newKeyPair } from '../../api/compute';
import { perform } from '../../api/client';
import { AsCommand } from '../../resource/as-command';
import { refresh } from '../../resource/query';
import { generate } from '../../sshkey';
import { CopyButton } from '../../ui/copy';
import { save } from '../../ui/save';
import { Problem } from '../../ui/problem';

interface Props {
  mode: 'create' | 'import';
  close: (name?: string) => void;
}

/** Makes a key pair here or takes over a public key. A private key is shown once and kept nowhere. */
export function KeyPairDialog({ mode, close }: Props) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const [form] = Form.useForm<{ name: string; publicKey?: string }>();
  const typed = Form.useWatch([], form) as { name?: string; publicKey?: string } | undefined;
  const [secret, setSecret] = useState<{ name: string; text: string } | null>(null);
  const add = useMutation({
    mutationFn: async ({ name, publicKey }: { name: string; publicKey?: string }) => {
      if (mode === 'import') {
        await perform(newKeyPair(name, (publicKey ?? '').trim()));
        return null;
      }
      const made = await generate(name);
      await perform(newKeyPair(name, made.publicKey));
      return made.privateKey;
    },
    onSuccess: async (text, { name }) => {
      await refresh(queryClient);
      if (text === null) {
        close(name);
      } else {
        setSecret({ name, text });
      }
    },
  });
  // The pair is made here, as the command line makes it too: the cloud gets its public half.
  const calls = [newKeyPair(typed?.name ?? '', typed?.publicKey?.trim() ?? '')];
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
            {t('key.use')} <code className="mono">{`chmod 600 ${file} && ssh -i ${file} …`}</code>
          </div>
        </div>
      </Modal>
    );
  }
  return (
    <Modal open title={t(mode === 'create' ? 'key.create' : 'key.import')} onCancel={() => close()} footer={null} destroyOnHidden>
      <Form form={form} layout="vertical" requiredMark={false} onFinish={(form: { name: string; publicKey?: string }) => add.mutate(form)}>
        <p className="muted" style={{ marginTop: 0 }}>
          {t(mode === 'create' ? 'key.createHelp' : 'key.importHelp')}
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
        {mode === 'import' && (
          <Form.Item
            name="publicKey"
            label={t('key.publicKey')}
            rules={[
              { required: true, message: t('key.needPublicKey') },
              { pattern: /^\s*(ssh-|ecdsa-|sk-)\S+ \S+/, message: t('key.badPublicKey') },
            ]}
          >
            <Input.TextArea rows={5} className="mono" placeholder="ssh-ed25519 AAAA… me@laptop" spellCheck={false} />
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
