import { useMutation, useQueryClient } from '@tanstack/react-query';
import { Button, Form, Input, Modal, Progress, Radio, Select } from 'antd';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { formatOf, formats, importCalls, importImage, newImageCall, uploadImage, type NewImage } from '../../api/image';
import { AsCommand } from '../../resource/as-command';
import { refresh } from '../../resource/query';
import { Problem } from '../../ui/problem';

interface Fields extends NewImage {
  from: 'file' | 'url';
  uri: string;
}

/** A file with its progress, or an address from which the cloud fetches. */
export function CreateImage({ close }: { close: () => void }) {
  const { t } = useTranslation();
  const queryClient = useQueryClient();
  const [form] = Form.useForm<Fields>();
  const typed = Form.useWatch([], form) as Fields | undefined;
  const from = typed?.from;
  const [file, setFile] = useState<File>();
  const [noFile, setNoFile] = useState(false);
  const [sent, setSent] = useState(0);
  const leaving = useRef(new AbortController());
  const add = useMutation({
    mutationFn: ({ name, disk_format, uri }: Fields) =>
      from === 'url' || file === undefined
        ? importImage({ name, disk_format }, uri)
        : uploadImage({ name, disk_format }, file, setSent, leaving.current.signal),
    onSuccess: close,
    onSettled: () => refresh(queryClient),
  });
  const leave = () => {
    leaving.current.abort(); // an upload whose dialog is gone could not be stopped any more
    close();
  };
  // The name and the format are guessed until somebody says otherwise.
  const suggest = (path: string) => {
    const format = formatOf(path);
    if (format !== undefined) {
      form.setFieldValue('disk_format', format);
    }
    if (!form.isFieldTouched('name')) {
      form.setFieldValue('name', decoded(path).replace(/^.*\//, '').replace(/[?#].*$/, '').replace(/\.[a-z0-9]+$/i, ''));
    }
  };
  const submit = (fields: Fields) => {
    setNoFile(from === 'file' && file === undefined);
    if (from === 'url' || file !== undefined) {
      setSent(0);
      add.mutate(fields);
    }
  };
  return (
    <Modal open title={t('image.create')} onCancel={leave} footer={null} destroyOnHidden mask={{ closable: !add.isPending }}>
      <Form<Fields>
        form={form}
        layout="vertical"
        requiredMark={false}
        initialValues={{ from: 'file' }}
        disabled={add.isPending}
        onFinish={submit}
        onFinishFailed={() => setNoFile(from === 'file' && file === undefined)}
      >
        <Form.Item name="from" label={t('image.from')}>
          <Radio.Group options={[{ value: 'file', label: t('image.file') }, { value: 'url', label: t('image.url') }]} />
        </Form.Item>
        {from === 'url' ? (
          <Form.Item name="uri" label={t('image.address')} extra={t('image.addressHint')} rules={[{ required: true, pattern: /^https?:\/\/\S+$/i, message: t('image.needAddress') }]}>
            <Input type="url" onChange={(event) => suggest(event.target.value)} />
          </Form.Item>
        ) : (
          <Form.Item label={t('image.choose')} htmlFor="file" {...(noFile && { validateStatus: 'error', help: t('image.needFile') })}>
            <input
              id="file"
              type="file"
              disabled={add.isPending}
              onChange={(event) => {
                const chosen = event.target.files?.[0];
                setFile(chosen);
                setNoFile(false);
                if (chosen !== undefined) {
                  suggest(chosen.name);
                }
              }}
            />
          </Form.Item>
        )}
        <Form.Item name="name" label={t('field.name')} rules={[{ required: true, whitespace: true, message: t('image.needName') }, { max: 255, message: t('tooLong', { max: 255 }) }]}>
          <Input />
        </Form.Item>
        <Form.Item name="disk_format" label={t('image.format')} rules={[{ required: true, message: t('image.needFormat') }]}>
          <Select options={Object.keys(formats).map((format) => ({ value: format, label: format }))} style={{ width: 160 }} />
        </Form.Item>
        {add.isPending && from === 'file' && (
          <div style={{ marginBottom: 16 }}>
            <Progress percent={Math.floor(sent * 100)} aria-label={t('image.progress')} />
            {sent >= 1 && <p className="muted">{t('image.checking')}</p>}
          </div>
        )}
        {typed?.name && typed.disk_format && <AsCommand calls={from === 'url' ? importCalls(typed, typed.uri) : [newImageCall(typed)]} />}
        {add.error && (
          <div style={{ marginBottom: 16 }}>
            <Problem error={add.error} />
          </div>
        )}
        <div className="row" style={{ justifyContent: 'flex-end' }}>
          <Button disabled={false} onClick={leave}>
            {t('cancel')}
          </Button>
          <Button type="primary" htmlType="submit" loading={add.isPending}>
            {from === 'url' ? t('image.fetch') : t('image.upload')}
          </Button>
        </div>
      </Form>
    </Modal>
  );
}

/** A path as people read it; one that is not well-formed stays as it is. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}
