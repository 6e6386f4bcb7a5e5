import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { App, Button, Form, Input, Modal, Progress, Radio, Select, Table } from 'antd';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { deleteImage, failureQuery, formatOf, formats, imagesQuery, importFailed, importImage, uploadImage, type Image, type NewImage } from '../api/image';
import { sessionQuery } from '../api/session';
import { bytes } from '../format';
import { toneOfImage } from '../state';
import { Empty } from '../ui/empty';
import { PageHead } from '../ui/page';
import { Problem, problemText } from '../ui/problem';
import { imageWord, Mark } from '../ui/status';
import { Ago } from '../ui/time';
import { Wide } from '../ui/wide';
import { FileImageOutlined, PlusOutlined } from '../ui/icons';

const label = (image: Image) => image.name ?? image.id.slice(0, 8);

export default function Images() {
  const { t, i18n } = useTranslation();
  const { modal, notification } = App.useApp();
  const queryClient = useQueryClient();
  const images = useQuery(imagesQuery);
  const { data: session } = useQuery(sessionQuery);
  const [creating, setCreating] = useState(false);

  const refresh = () => queryClient.invalidateQueries({ queryKey: imagesQuery.queryKey });
  const remove = useMutation({
    mutationFn: deleteImage,
    onError: (error) => notification.error({ title: t('image.failed'), description: problemText(t, error) }),
    onSettled: refresh,
  });
  const confirm = async (image: Image) => {
    const sure = await modal.confirm({
      title: t('image.deleteTitle', { name: label(image) }),
      content: t('image.deleteText'),
      okText: t('image.delete'),
      okButtonProps: { danger: true },
      cancelText: t('cancel'),
    });
    if (sure) {
      remove.mutate(image.id);
    }
  };
  const create = (
    <Button type="primary" icon={<PlusOutlined />} onClick={() => setCreating(true)}>
      {t('image.create')}
    </Button>
  );
  return (
    <>
      <PageHead title={t('nav.images')}>{create}</PageHead>
      {images.error && images.data === undefined ? (
        <Problem error={images.error} retry={() => void images.refetch()} />
      ) : (
        <div className="panel">
          {images.data?.length === 0 ? (
            <Empty icon={<FileImageOutlined />} title={t('image.empty')} text={t('image.emptyText')}>
              {create}
            </Empty>
          ) : (
            <Wide label={t('nav.images')}>
              <Table<Image>
                size="middle"
                rowKey="id"
                loading={images.isPending}
                dataSource={images.data ?? []}
                pagination={{ defaultPageSize: 20, hideOnSinglePage: true, showSizeChanger: true }}
                showSorterTooltip={false}
                columns={[
                  { title: t('field.name'), sorter: (a, b) => label(a).localeCompare(label(b)), render: (_, i) => <strong>{label(i)}</strong> },
                  { title: t('field.status'), render: (_, i) => <Status image={i} /> },
                  {
                    title: t('field.size'),
                    align: 'right',
                    sorter: (a, b) => (a.size ?? 0) - (b.size ?? 0),
                    render: (_, i) => <span className="nums" style={{ whiteSpace: 'nowrap' }}>{i.size === null ? '–' : bytes(i.size, i18n.language)}</span>,
                  },
                  { title: t('image.format'), responsive: ['md'], render: (_, i) => i.disk_format },
                  { title: t('image.visibility'), responsive: ['md'], render: (_, i) => visibleTo(t('image.visibilities', { returnObjects: true }), i) },
                  { title: t('field.created'), responsive: ['lg'], render: (_, i) => <Ago time={i.created_at} /> },
                  {
                    title: '',
                    align: 'right',
                    render: (_, i) => (
                      <Button
                        size="small"
                        danger
                        disabled={i.protected || i.owner !== session?.project?.id}
                        aria-label={t('image.deleteLabel', { name: label(i) })}
                        onClick={() => void confirm(i)}
                      >
                        {t('image.delete')}
                      </Button>
                    ),
                  },
                ]}
              />
            </Wide>
          )}
        </div>
      )}
      {creating && <Create close={() => setCreating(false)} refresh={refresh} />}
    </>
  );
}

const visibleTo = (words: Record<string, string>, image: Image) => words[image.visibility] ?? image.visibility;

/** An image's state, and why its import came to nothing. */
function Status({ image }: { image: Image }) {
  const { t } = useTranslation();
  const failed = importFailed(image);
  const { data: reason } = useQuery({ ...failureQuery(image.id), enabled: failed });
  return (
    <>
      <Mark tone={toneOfImage(image)} raw={image.status}>
        {failed ? t('image.importFailed') : imageWord(t, image.status)}
      </Mark>
      {failed && reason != null && <div className="reason tone-bad">{reason}</div>}
    </>
  );
}

interface Fields extends NewImage {
  from: 'file' | 'url';
  uri: string;
}

function Create({ close, refresh }: { close: () => void; refresh: () => Promise<unknown> }) {
  const { t } = useTranslation();
  const [form] = Form.useForm<Fields>();
  const from = Form.useWatch('from', form);
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
    onSettled: refresh,
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
